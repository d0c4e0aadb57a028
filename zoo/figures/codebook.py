"""The use of a codebook's vectors."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure

from zoo import plotting
from zoo.errors import NotApplicable
from zoo.figures._context import MAX_GRID_IMAGES, FigureContext
from zoo.registry import register_figure


@register_figure
def codebook(context: FigureContext) -> Figure:
    """The use of each vector of the codebook by the test images."""
    model = context.model
    if not model.prior.num_codes:
        raise NotApplicable("the use of a codebook needs a model with one, such as vq_vae_fashion_mnist")
    with context.drawing():
        parts: list[Any] = [
            model.given(part.labels).encode(context.to_float(part.images))
            for part in context.test.batches(MAX_GRID_IMAGES)
        ]
    indices = torch.cat([part.indices for part in parts]).cpu()
    counts = indices.flatten().bincount(minlength=model.prior.num_codes)
    return plotting.codebook_use(counts, parts[0].usage(indices)["perplexity"])
