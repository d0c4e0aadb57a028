"""Models as points between two quantities, a panel for each group of models that can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.plotting.canvas import TEST, NotebookFigure, literal, with_own_settings

PANELS_BESIDE = 3
"""The number of panels in a row."""

NAME_HEIGHT, LETTER_WIDTH = 11.0, 5.0
"""The height of a line of text and about the width of a letter, in points."""


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
        axes.grid(alpha=0.2)
    figure.draw_without_rendering()  # names are put where the panels are then
    figure.set_layout_engine("none")
    for axes, points in zip(panels, groups.values(), strict=False):
        _write_names(axes, points)
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
    """Write names beside their points, moved up where they would cover one another, and down from the panel's top.

    A name stands at the right, or at the left where the panel ends or it would cover another point.
    """

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = axes.transData.transform((x, y)) * 72 / axes.figure.dpi
        return float(across), float(up)

    ordered = sorted(points, key=lambda point: place(point.x, point.y)[1])
    places: list[float] = []
    for point in ordered:
        places.append(max([place(point.x, point.y)[1], *(last + NAME_HEIGHT for last in places[-1:])]))
    left, right = (place(x, axes.get_ylim()[0])[0] for x in axes.get_xlim())
    top = place(axes.get_xlim()[1], axes.get_ylim()[1])[1]
    top -= NAME_HEIGHT / 2
    for index in reversed(range(len(places))):
        places[index] = min(places[index], top)
        top = places[index] - NAME_HEIGHT
    dots = [place(point.x, point.y) for point in points]

    def covered(start: float, end: float, up: float) -> float:
        """Return the number of points that a name would cover; infinite where it would leave the panel."""
        low, high = min(start, end), max(start, end)
        inside = [low < across < high and abs(height - up) < NAME_HEIGHT / 2 for across, height in dots]
        return sum(inside) if left < low and high < right else math.inf

    for point, up in zip(ordered, places, strict=True):
        x, y = place(point.x, point.y)
        moved, length = up - y, len(point.name) * LETTER_WIDTH
        side = min((1, -1), key=lambda side: covered(x + 10 * side, x + (10 + length) * side, up))  # noqa: B023
        arrow = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.5} if abs(moved) > 2 else None
        axes.annotate(
            literal(point.name), (point.x, point.y), (10 * side, moved), textcoords="offset points", fontsize=8,
            va="center", ha="left" if side > 0 else "right", arrowprops=arrow,
        )  # fmt: skip
