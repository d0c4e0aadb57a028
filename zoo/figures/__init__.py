"""One file per kind of figure of a trained model, named like it: what it shows and how it is computed.

A kind is a function from a :class:`FigureContext` to a figure. The drawing itself is in :mod:`zoo.plotting`.
"""

from zoo.figures._context import FigureContext, FigureOptions
from zoo.figures._gallery import draw, side_by_side

__all__ = ["FigureContext", "FigureOptions", "draw", "side_by_side"]
