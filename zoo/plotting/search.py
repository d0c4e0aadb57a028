"""A metric over the trials of a search, and over each setting that was searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from zoo.plotting.canvas import TEST, TRAIN, NotebookFigure, literal, with_own_settings

COLUMNS = 4
"""The most panels beside one another."""


@dataclass(frozen=True)
class Panel:
    """The trials' values of a metric over a number of theirs."""

    label: str
    places: Sequence[float]
    """The place of each trial on the x axis: a number, or the index of a word."""
    values: Sequence[float]
    words: Sequence[str] = ()
    """The ticks of the x axis, where they are words."""
    log: bool = False
    """True if the x axis is logarithmic."""


@with_own_settings
def search_figure(panels: Sequence[Panel], metric: str, higher: bool) -> Figure:
    """Draw each panel as points, the best of them in another colour.

    Args:
        panels: what is drawn.
        metric: the label of the y axes.
        higher: True if higher values are better.
    """
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = NotebookFigure(figsize=(3.2 * columns, 2.8 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        best = (max if higher else min)(range(len(panel.values)), key=panel.values.__getitem__)
        axes.plot(panel.places, panel.values, "o", color=TRAIN, markersize=4, alpha=0.7)
        axes.plot(panel.places[best], panel.values[best], "o", color=TEST, markersize=7)
        if panel.log:
            axes.set_xscale("log")
        if panel.words:
            axes.set_xticks(range(len(panel.words)), [literal(word[:20]) for word in panel.words])
            axes.set_xlim(-0.5, len(panel.words) - 0.5)
        axes.set_xlabel(literal(panel.label))
        axes.grid(alpha=0.3)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    for row in grid:
        row[0].set_ylabel(literal(metric))
    return figure
