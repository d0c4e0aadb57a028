"""Metrics over the values of a field, a panel for each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from zoo.plotting.canvas import CLASSES, NotebookFigure, literal, with_own_settings


class Line(NamedTuple):
    """A metric at some of the values of a field, with the other fields fixed."""

    label: str
    """The values of the other fields; empty where there are none."""
    ticks: list[int]
    """The indices of the values."""
    means: list[float]
    deviations: list[float]
    """The standard deviations over seeds, 0 where there is one run."""


@with_own_settings
def sweep(panels: Mapping[str, Sequence[Line]], field: str, values: Sequence[str]) -> Figure:
    """Draw each metric over the values of a field, which stand at equal distances in their order.

    Args:
        panels: the lines of each panel, by the label of its y axis.
        field: the label of the x axis.
        values: the values of the field.
    """
    figure = NotebookFigure(figsize=(4 * len(panels), 3.2), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for index, line in enumerate(lines):
            axes.errorbar(
                line.ticks, line.means, line.deviations if any(line.deviations) else None,
                color=CLASSES[index % len(CLASSES)], marker="o", markersize=4, capsize=3, label=literal(line.label),
            )  # fmt: skip
        axes.set_xticks(range(len(values)), [literal(value) for value in values])
        axes.set(xlabel=literal(field), ylabel=literal(title))
        axes.grid(alpha=0.3)
        if any(line.label for line in lines):
            axes.legend(frameon=False, fontsize=7)
    return figure
