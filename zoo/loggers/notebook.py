"""Curves in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.loggers import LoggedRun, Logger
from zoo.registry import register_logger


class Notebook(Logger):
    """Draws the loss terms of every epoch below the cell that trains, each time in place of the figure before."""

    def __init__(self, run: LoggedRun) -> None:
        from IPython.display import display

        self.display = display
        self.shown: Any = None
        self.history: list[dict[str, Any]] = []

    def scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        """Draw the curves up to this epoch."""
        from zoo.plotting import loss_curves  # here, because matplotlib takes a while to import

        row: dict[str, Any] = {"epoch": epoch}
        for name, value in values.items():
            split, slash, term = name.partition("/")
            if slash:
                row.setdefault(split, {})[term] = value
        self.history.append(row)
        figure = loss_curves(self.history, "")
        if self.shown is None:
            self.shown = self.display(figure, display_id=True)
        else:
            self.shown.update(figure)


@register_logger(package="IPython")
def notebook(run: LoggedRun) -> Logger:
    """Curves below the cell of a notebook, drawn anew after every epoch."""
    return Notebook(run)
