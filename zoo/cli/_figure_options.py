"""Code that the verbs that draw share: the options of a figure, and the names of its kinds."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.errors import UnknownNameError, ZooError

if TYPE_CHECKING:
    from zoo.figures import FigureOptions


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of a figure."""
    parser.add_argument(
        "--count",
        type=int,
        help="images in a grid (1,000 at most), points in a scatter, images along a map's side (100 at most)",
    )
    parser.add_argument("--at", action="append", default=[], metavar="Z1,Z2", help="a code to decode; may be repeated")
    parser.add_argument("--between", metavar="A,B", help="two classes to interpolate between, as in 3,5")
    parser.add_argument(
        "--path",
        choices=("linear", "spherical"),
        default="linear",
        help="the path of an interpolation (default: linear)",
    )
    parser.add_argument("--seed", type=int, default=0, help="the seed of what is drawn at random (default: 0)")


def drawing_options(options: argparse.Namespace) -> FigureOptions:
    """Return the values of the options that :func:`add_options` has declared.

    Raises:
        ZooError: something is no number or out of range.
    """
    from zoo.figures import FigureOptions

    if options.count is not None and not 1 <= options.count <= 10_000:
        raise ZooError(f"--count {options.count}: choose between 1 and 10,000")
    if not 0 <= options.seed < 2**32:
        raise ZooError(f"--seed {options.seed}: choose between 0 and {2**32 - 1}")
    try:
        at = tuple(tuple(float(value) for value in text.split(",")) for text in options.at)
    except ValueError as error:
        raise ZooError(f"--at {','.join(options.at)}: expected numbers, as in --at 0,1 ({error})") from error
    if not all(math.isfinite(value) for z in at for value in z):
        raise ZooError(f"--at {','.join(options.at)}: expected finite numbers")
    between = None
    if options.between:
        try:
            a, b = (int(value) for value in options.between.split(","))
        except ValueError as error:
            raise ZooError(f"--between {options.between}: expected two classes, as in --between 3,5") from error
        between = (a, b)
    return FigureOptions(options.count, at, between, options.path, options.seed)


def check_kinds(kinds: Sequence[str]) -> list[str]:
    """Return the kinds, all of them if none is named.

    Raises:
        UnknownNameError: there is no such kind; shows the close matches.
    """
    from zoo.registry import FIGURES

    for kind in kinds:
        if kind not in FIGURES.names():
            raise UnknownNameError(FIGURES.kind, kind, FIGURES.names())
    return list(kinds) or FIGURES.names()
