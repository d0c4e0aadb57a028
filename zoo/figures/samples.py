"""Images decoded from the prior."""

from __future__ import annotations

from matplotlib.figure import Figure

from zoo import plotting
from zoo.figures._context import FigureContext
from zoo.registry import register_figure


@register_figure
def samples(context: FigureContext) -> Figure:
    """Images decoded from samples of the prior; with a codebook, from codes drawn at random."""
    return plotting.sample_grid(context.model.sample(context.count(100), context.generator))
