"""Codes in two dimensions by PCA."""

from __future__ import annotations

from matplotlib.figure import Figure

from zoo.figures._context import FigureContext
from zoo.figures._scatter import scatter
from zoo.registry import register_figure


@register_figure
def pca(context: FigureContext) -> Figure:
    """The posterior means of test images in two dimensions, coloured by class (PCA)."""
    return scatter(context, "PCA")
