"""Drawing the figures of a run folder, while the model is measured where there is a process for it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from zoo.errors import first_line
from zoo.imports import importing
from zoo.system import beside

Figures = Mapping[str, tuple[Any, ...]]
"""Figures by the names of their files, each a name in :mod:`zoo.plotting` and arguments that are no tensors."""


def drawing(figures: Figures) -> Callable[[], dict[str, bytes]]:
    """Let figures be drawn, and return a function that waits for the content of their PNG files, by their names.

    What cannot be drawn is left out, with a warning: no run is lost for a figure.
    """
    process = beside.taken()
    if process:
        try:
            process.send(figures)
        except OSError:
            process = None

    def result() -> dict[str, bytes]:
        if process:
            try:
                return dict(process.receive())
            except (EOFError, OSError):
                pass  # it is drawn here, where an error can be told
        try:
            return drawn_here(figures)
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            warnings.warn(f"the figures cannot be drawn ({reason}); zoo figures draws them later", stacklevel=3)
            return {}

    return result


def drawn_here(figures: Figures) -> dict[str, bytes]:
    """Draw figures in this process; importing matplotlib takes a third of a second."""
    with importing():
        from zoo.plotting.files import drawn

    return drawn(figures)
