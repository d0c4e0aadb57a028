"""Images that the model was trained on, chosen at random."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from zoo import plotting
from zoo.figures._context import FigureContext
from zoo.registry import register_figure


@register_figure
def training_images(context: FigureContext) -> Figure:
    """Images that the model was trained on, chosen at random."""
    chosen = torch.randperm(len(context.trained.train), generator=context.generator)[: context.count(50)]
    return plotting.sample_grid(context.to_float(context.trained.train.images[chosen]))
