"""Drawing a kind of figure by its name, of one model or of several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from matplotlib.figure import Figure

from zoo import plotting
from zoo.errors import ZooError
from zoo.figures._context import FigureContext
from zoo.registry import FIGURES
from zoo.system.process import cpu_by_default

COLUMNS = 10
"""The number of images in a row, unless the options say otherwise."""


@cpu_by_default()
def draw(kind: str, context: FigureContext) -> Figure:
    """Draw a kind of figure of a trained model.

    Raises:
        UnknownNameError: there is no such kind; shows the close matches.
        NotApplicable: the model, or its data, has nothing of the kind.
    """
    function = FIGURES.get(kind).build
    figure: Figure = function(replace(context, kind=function))
    return figure


def side_by_side(contexts: Mapping[str, FigureContext], kind: str) -> Figure:
    """Draw one kind of figure of several models, side by side below their names.

    Raises:
        ZooError: as :func:`draw`; the message names the model.
    """
    figures = {}
    for name, context in contexts.items():
        try:
            figures[name] = draw(kind, context)
        except ZooError as error:
            raise ZooError(f"{name}: {error}") from error
    return plotting.side_by_side(figures)
