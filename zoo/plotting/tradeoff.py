"""Models as points between two quantities, a panel for each group of models that can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from zoo.plotting.canvas import TEST, NotebookFigure, literal, with_own_settings

PANELS_BESIDE = 2
"""The most panels in a row."""

LINE_HEIGHT, DIGIT_WIDTH = 11.0, 5.0
"""The height of a line of text and about the width of a digit, in points."""


class Point(NamedTuple):
    """A model, at its two quantities."""

    name: str
    x: float
    y: float


@with_own_settings
def tradeoff(
    groups: Mapping[str, Sequence[Point]], x: str, y: str, *, sums: bool = False, logarithmic: bool = False
) -> Figure:
    """Draw numbered points, a panel for each group, with the names of the numbers beside it.

    Args:
        groups: the points of each panel, by its title.
        x: the label of the x axis.
        y: the label of the y axis.
        sums: draw lines on which x + y is constant.
        logarithmic: make the x axis logarithmic.
    """
    columns = min(len(groups), PANELS_BESIDE)
    rows = -(-len(groups) // columns)
    height = max(5.0, (max(map(len, groups.values())) + 4) * LINE_HEIGHT / 72)  # room for each name
    figure = NotebookFigure(figsize=(8 * columns, height * rows), layout="constrained")
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
            for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
                formatter(LogFormatter(minor_thresholds=(1.3, 0.5)))  # 600, not 6 x 10^2
        if sums:
            _draw_lines_of_equal_sum(axes, xs + ys)
        axes.grid(alpha=0.2)
        _list_names(axes, ordered(points))
    figure.draw_without_rendering()  # numbers are put where the panels are then
    figure.set_layout_engine("none")
    for axes, points in zip(panels, groups.values(), strict=False):
        _write_numbers(axes, ordered(points))
    return figure


def ordered(points: Sequence[Point]) -> list[Point]:
    """Return points from the highest to the lowest, in which order they are numbered from 1 on."""
    return sorted(points, key=lambda point: (-point.y, point.x, point.name))


def _draw_lines_of_equal_sum(axes: Axes, sums: np.ndarray) -> None:
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    step = max(1, round((sums.max() - sums.min()) / 5))
    for total in np.arange(np.floor(sums.min()), sums.max() + step, step):
        axes.plot([left, right], [total - left, total - right], color="0.8", linewidth=0.8, zorder=1)
        if bottom < total - left < top:
            axes.annotate(
                f"{total:.0f}", (left, total - left), (3, 1), textcoords="offset points", fontsize=7, color="0.5",
                ha="left", va="bottom",
            )  # fmt: skip
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _list_names(axes: Axes, points: Sequence[Point]) -> None:
    """Write the names of numbered points at the right of a panel, each on a line."""
    for index, point in enumerate(points):
        axes.annotate(
            literal(f"{index + 1}  {point.name}"), (1, 1), (8, -index * LINE_HEIGHT), xycoords="axes fraction",
            textcoords="offset points", fontsize=8, va="top", ha="left",
        )  # fmt: skip


def _write_numbers(axes: Axes, points: Sequence[Point]) -> None:
    """Write numbers beside their points, where they cover neither one another nor a point, if there is such a place."""

    def place(point: Point) -> tuple[float, float]:
        across, up = axes.transData.transform((point.x, point.y)) * 72 / axes.figure.dpi
        return float(across), float(up)

    dots = [place(point) for point in points]
    taken: list[tuple[float, float]] = []

    def crowded(x: float, y: float) -> float:
        """Return how near a number at a place would be to what is there, the more the nearer."""
        near = [max(abs(x - across) / (2.4 * DIGIT_WIDTH), abs(y - up) / LINE_HEIGHT) for across, up in (*dots, *taken)]
        return sum(max(0.0, 1 - distance) for distance in near)

    for index, (x, y) in enumerate(dots):
        around = [
            (x + radius * math.cos(angle), y + radius * math.sin(angle))
            for radius in (11, 16, 22, 30)
            for angle in np.linspace(0, 2 * math.pi, 12, endpoint=False)
        ]
        across, up = min(around, key=lambda found: (round(crowded(*found), 2), math.dist(found, (x, y))))  # noqa: B023
        taken.append((across, up))
        far = math.dist((across, up), (x, y)) > 12
        axes.annotate(
            str(index + 1), (points[index].x, points[index].y), (across - x, up - y), textcoords="offset points",
            fontsize=8, va="center", ha="center",
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.5, "shrinkA": 4} if far else None,
        )  # fmt: skip
