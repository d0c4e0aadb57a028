"""Parameters chosen by patterns of their names, as ``encoder``, ``decoder.*.bias`` or ``*.bias``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import accumulate

from torch import nn

from zoo.errors import ZooError, suggest

NamedParameters = list[tuple[str, nn.Parameter]]


def named_parameters(model: nn.Module, objective: nn.Module) -> NamedParameters:
    """Return the parameters of both by name; the names of the objective's begin with ``objective``."""
    return [*model.named_parameters(), *objective.named_parameters(prefix="objective")]


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return whether one of the patterns names a parameter or module, or a module that it is in."""
    return any(fnmatchcase(name, form) for pattern in patterns for form in (pattern, f"{pattern}.*"))


def check_patterns(patterns: Iterable[str], names: Sequence[str], field: str) -> None:
    """Refuse a pattern that names nothing.

    Args:
        patterns: the patterns.
        names: the names of all parameters.
        field: the field of the recipe that they stand in.

    Raises:
        ZooError: a pattern matches none of the names; the message shows the close matches.
    """
    for pattern in patterns:
        if not any(matches(name, [pattern]) for name in names):
            known = {part for name in names for part in accumulate(name.split("."), "{}.{}".format)}
            top = {name.partition(".")[0] for name in names}
            raise ZooError(f"{field}: {pattern!r} names no parameter of the model{suggest(pattern, known, top)}")
