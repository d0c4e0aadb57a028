"""Codes in two dimensions by t-SNE."""

from __future__ import annotations

from matplotlib.figure import Figure

from zoo.figures._context import FigureContext
from zoo.figures._scatter import scatter
from zoo.registry import register_figure


@register_figure
def tsne(context: FigureContext) -> Figure:
    """The posterior means of test images in two dimensions, coloured by class (t-SNE)."""
    return scatter(context, "t-SNE")
