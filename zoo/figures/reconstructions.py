"""Test images, each above its reconstruction."""

from __future__ import annotations

from matplotlib.figure import Figure

from zoo import plotting
from zoo.figures._context import FigureContext
from zoo.registry import register_figure


@register_figure
def reconstructions(context: FigureContext) -> Figure:
    """Test images, each above its reconstruction."""
    first = context.test.first(context.count(40))
    x = context.to_float(first.images)
    return plotting.reconstruction_grid(x, context.model.given(first.labels).reconstruct(x))
