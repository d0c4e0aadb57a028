"""Figures by the names of their files, drawn in one go: in this process, or in one that has no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.figure import Figure

from zoo.plotting.canvas import to_png
from zoo.plotting.curves import loss_curves
from zoo.plotting.grids import reconstruction_grid, sample_grid

KINDS: dict[str, Callable[..., Figure]] = {
    "loss_curves": loss_curves,
    "reconstruction_grid": reconstruction_grid,
    "sample_grid": sample_grid,
}
"""The functions that draw the figures of a run folder, by name."""


def drawn(figures: Mapping[str, tuple[Any, ...]]) -> dict[str, bytes]:
    """Return the content of PNG files by their names, of the name of a function and its arguments for each."""
    return {file: to_png(KINDS[kind](*arguments)) for file, (kind, *arguments) in figures.items()}
