"""The loss and its terms over the epochs, training and test."""

from __future__ import annotations

from matplotlib.figure import Figure

from zoo import plotting
from zoo.figures._context import FigureContext
from zoo.objectives import unit_of
from zoo.registry import register_figure
from zoo.runs.folder import read_history


@register_figure
def loss_curves(context: FigureContext) -> Figure:
    """The loss and its terms over the epochs, training and test."""
    return plotting.loss_curves(read_history(context.trained.folder), unit_of(context.trained.config.checked_recipe))
