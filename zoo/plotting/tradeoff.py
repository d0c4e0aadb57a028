"""Models as points between two quantities, a panel for each group of models that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.plotting.canvas import TEST, NotebookFigure, literal, with_own_settings


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
    figure = NotebookFigure(figsize=(7.5 * len(groups), 5.5), layout="constrained")
    for axes, (title, points) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
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
    """Write names beside their points, moved up where they would cover one another."""
    height = 11.0  # points of a line of text
    last: float | None = None
    for point in sorted(points, key=lambda point: axes.transData.transform((point.x, point.y))[1]):
        py = float(axes.transData.transform((point.x, point.y))[1]) * 72 / axes.figure.dpi
        target = py if last is None else max(py, last + height)
        last = target
        arrow = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.5} if target - py > 2 else None
        name = literal(point.name)
        axes.annotate(
            name, (point.x, point.y), (10, target - py), textcoords="offset points", fontsize=8, va="center",
            arrowprops=arrow,
        )  # fmt: skip
