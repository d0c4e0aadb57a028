"""Models as points between two quantities, a panel for each group of models that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.plotting.canvas import TEST, NotebookFigure, literal, with_own_settings

PANELS_BESIDE = 3
"""The number of panels in a row."""

NAME_HEIGHT = 11.0
"""The height of a line of text, in points."""


class Point(NamedTuple):
    """A model, at its two quantities."""

    name: str
    x: float
    y: float


@with_own_settings
def tradeoff(
    groups: Mapping[str, Sequence[Point]], x: str, y: str, *, sums: bool = False, logarithmic: bool = False
) -> Figure:
    """Draw named points, a panel for each group.

    Args:
        groups: the points of each panel, by its title.
        x: the label of the x axis.
        y: the label of the y axis.
        sums: draw lines on which x + y is constant.
        logarithmic: make the x axis logarithmic.
    """
    columns = min(len(groups), PANELS_BESIDE)
    rows = -(-len(groups) // columns)
    height = max(5.5, max(map(len, groups.values())) * NAME_HEIGHT / 72 * 1.6)  # room for each name
    figure = NotebookFigure(figsize=(7.5 * columns, height * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(groups) :]:
        axes.remove()
    for axes, (title, points) in zip(panels, groups.items(), strict=False):
        xs, ys = (np.array([getattr(point, axis) for point in points]) for axis in ("x", "y"))
        axes.scatter(xs, ys, color=TEST, zorder=3)
        axes.set(title=literal(title), xlabel=literal(x), ylabel=literal(y))
        axes.margins(x=0.12, y=0.12)
        if logarithmic:
            axes.set_xscale("log")
        _make_room_for_names(axes)
        if sums:
            _draw_lines_of_equal_sum(axes, xs + ys)
        _write_names(axes, points)
        axes.grid(alpha=0.2)
    return figure


def _make_room_for_names(axes: Axes) -> None:
    """Add two fifths more space at the right."""
    to_axes = axes.transScale + axes.transLimits
    axes.set_xlim(axes.get_xlim()[0], to_axes.inverted().transform((1.4, 0))[0])


def _draw_lines_of_equal_sum(axes: Axes, sums: np.ndarray) -> None:
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    step = max(1, round((sums.max() - sums.min()) / 5))
    for total in np.arange(np.floor(sums.min()), sums.max() + step, step):
        axes.plot([left, right], [total - left, total - right], color="0.8", linewidth=0.8, zorder=1)
        if bottom < total - left < top:
            axes.annotate(f"{total:.0f}", (left, total - left), fontsize=7, color="0.5", ha="left", va="bottom")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _write_names(axes: Axes, points: Sequence[Point]) -> None:
    """Write names beside their points, moved up where they would cover one another, and down from the panel's top."""
    scale = 72 / axes.figure.dpi

    def height(y: float) -> float:
        return float(axes.transData.transform((axes.get_xlim()[0], y))[1]) * scale

    ordered = sorted(points, key=lambda point: height(point.y))
    places: list[float] = []
    for point in ordered:
        places.append(max([height(point.y), *(last + NAME_HEIGHT for last in places[-1:])]))
    top = height(axes.get_ylim()[1]) - NAME_HEIGHT / 2
    for index in reversed(range(len(places))):
        places[index] = min(places[index], top)
        top = places[index] - NAME_HEIGHT
    for point, place in zip(ordered, places, strict=True):
        moved = place - height(point.y)
        arrow = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.5} if abs(moved) > 2 else None
        axes.annotate(
            literal(point.name), (point.x, point.y), (10, moved), textcoords="offset points", fontsize=8, va="center",
            arrowprops=arrow,
        )  # fmt: skip
