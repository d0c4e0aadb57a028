"""The images at chosen codes."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from zoo import plotting
from zoo.errors import NotApplicable, ZooError
from zoo.figures._context import FigureContext
from zoo.registry import register_figure


@register_figure
def decode(context: FigureContext) -> Figure:
    """The images at chosen codes (``--at``)."""
    at, dim = context.options.at, context.model.prior.latent_dim
    if not at:
        raise NotApplicable(f"say at which codes to decode, {dim} number{'s' * (dim > 1)} each: --at 0,1 --at 1,0")
    wrong = [z for z in at if len(z) != dim]
    if wrong:
        raise ZooError(f"--at {','.join(map(str, wrong[0]))}: the code has {dim} dimensions, not {len(wrong[0])}")
    with context.drawing():
        images = context.decode(torch.tensor(at, dtype=torch.float32))
    titles = [", ".join(f"{value:g}" for value in z[:4]) + ", \N{HORIZONTAL ELLIPSIS}" * (dim > 4) for z in at]
    return plotting.titled(images, [f"z = ({title})" for title in titles])
