"""Grids of recipes, as in ``objective.beta=1,2,4``: fields with the values that they take in turn."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoo.errors import ZooError

MAX_POINTS = 1000
"""The most points of one grid."""


@dataclass(frozen=True)
class Axis:
    """A field of a recipe, and the values that it takes in turn, as ``--set`` takes them."""

    field: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Parse ``objective.beta=1,2,4``; values that contain commas are JSON: ``model.hidden=[64],[64,32]``.

        Raises:
            ValueError: the text has another form, or a value is empty or there twice.
        """
        field, equals, listed = (part.strip() for part in text.partition("="))
        if not equals or not all(field.split(".")):
            raise ValueError("expected section.field=value,value as in objective.beta=1,2,4")
        values = _values(listed)
        if not all(values):
            raise ValueError(f"a value of {field} is empty")
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            raise ValueError(f"{field}={twice[0]} is there twice")
        return cls(field, tuple(values))


def _values(text: str) -> list[str]:
    try:
        found = json.loads(f"[{text}]")
    except (ValueError, RecursionError):  # names, such as relu,tanh
        return [part.strip() for part in text.split(",")]
    return [json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in found] or [""]


def check_grid(axes: Sequence[Axis], before: Sequence[str] = (), after: Sequence[str] = ()) -> None:
    """Refuse a grid that sets a field twice, or has too many points.

    Args:
        axes: the axes of the grid.
        before: the fields that are set before it.
        after: the fields that are set after it.

    Raises:
        ZooError: it does, or has.
    """
    count = 1
    fields = list(before)
    for axis in axes:
        if axis.field in (*fields, *after):
            raise ZooError(f"--grid {axis.field}: the field is set twice; name it once")
        lost = [field for field in fields if field.startswith(f"{axis.field}.")]
        if lost:
            raise ZooError(
                f"--grid {axis.field}: the whole section would replace {lost[0]}, which is set before it; write that "
                f"into each value of the section, or sweep it in a --grid after it"
            )
        if axis.field == "name":
            raise ZooError("--grid name: runs are named by their values; drop it")
        fields.append(axis.field)
        count *= len(axis.values)
    if count > MAX_POINTS:
        raise ZooError(f"the grid has {count:,} points, more than {MAX_POINTS:,}; take fewer values")


def points(axes: Sequence[Axis]) -> Iterator[tuple[str, ...]]:
    """Yield the values of the axes in every combination, the last axis fastest."""
    yield from itertools.product(*(axis.values for axis in axes))


def labels(axes: Sequence[Axis]) -> list[str]:
    """Return a short name of each axis: the last part of its field, or the whole field where two have the same."""
    last = [axis.field.rpartition(".")[2] for axis in axes]
    return [short if last.count(short) == 1 else axis.field for short, axis in zip(last, axes, strict=True)]


def name_of(base: str, axes: Sequence[Axis], point: Sequence[str]) -> str:
    """Return the name of a run by its values: ``vae_mnist_beta_4_latent_dim_16``."""
    parts = [f"{label} {value}" for label, value in zip(labels(axes), point, strict=True)]
    return "_".join(
        [base, *(re.sub(r"[^a-z0-9]+", "_", part.lower().replace("-", " minus ")).strip("_") for part in parts)]
    )
