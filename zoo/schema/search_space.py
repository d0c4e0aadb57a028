"""Search spaces: fields of a recipe with the values that a search may give them, as a JSON file states them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zoo.errors import ZooError
from zoo.schema.parsing import parse_json, validate
from zoo.schema.text import read_text

FIXED = ("name", "data", "claims", "hub", "source", "summary", "training.validation", "training.seed")
"""The fields, and sections, without which trials could not be compared, or that decide nothing."""

INSIDE = (math.sqrt(5) - 1) / 2
"""A place between 0 and 1 that is a whole number in no range."""


class Domain(BaseModel):
    """The values that a field may take: numbers from ``low`` to ``high``, or some ``choices``."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    """True if small numbers are to be drawn as densely as large ones, in proportion."""
    step: int | float | None = None
    """The distance between two numbers that may be drawn; None: any number."""
    choices: list[Any] | None = Field(None, min_length=1, max_length=1000)
    """The values, as JSON has them."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.choices is not None:
            if self.model_fields_set != {"choices"}:
                raise ValueError("choices stand alone: drop low, high, log and step, or drop the choices")
            if len(set(self.words)) < len(self.choices):
                raise ValueError("a choice is there twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected low and high, or choices")
        if not self.low < self.high:
            raise ValueError("low must be less than high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0, and no step")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError("step must be above 0 and no more than high - low")
        return self

    @property
    def words(self) -> list[str]:
        """The choices as JSON."""
        return [json.dumps(choice, sort_keys=True, ensure_ascii=False) for choice in self.choices or ()]


def read_space(path: Path, takes: Callable[[str], object]) -> dict[str, tuple[Domain, bool]]:
    """Read the file of a search space.

    Args:
        path: a JSON file, ``{"optimizer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": true}}``.
        takes: a function that raises a ZooError where a recipe does not take ``field=value``.

    Returns:
        The domains by field, each with True if the field takes whole numbers only.

    Raises:
        ZooError: the file cannot be read, or a field does not take what it says.
    """
    fields = parse_json(read_text(path, "the search space"), str(path))
    if not fields:
        raise ZooError(f'{path}: names no field; write {{"model.latent_dim": {{"choices": [8, 16]}}}}, say')
    space: dict[str, tuple[Domain, bool]] = {}
    for field, value in fields.items():
        where = f"{path}: {field}"
        if any(overlap(field, fixed) for fixed in FIXED):
            raise ZooError(f"{where}: no search may change it; set it for all trials with --set")
        twice = [other for other in space if overlap(field, other)]
        if twice:
            raise ZooError(f"{where}: {twice[0]} is searched too, and one is a part of the other; drop one of them")
        if not isinstance(value, dict):
            raise ZooError(f'{where}: expected {{"low": ..., "high": ...}} or {{"choices": [...]}}')
        domain: Domain = validate(Domain, value, where)
        try:
            space[field] = domain, _whole(field, domain, takes)
        except ZooError as error:
            raise ZooError(f"{where}: {error}") from error
    return space


def overlap(field: str, other: str) -> bool:
    """Return whether one of two fields is the other or a part of it, as ``optimizer`` and ``optimizer.betas``."""
    return f"{field}.".startswith(f"{other}.") or f"{other}.".startswith(f"{field}.")


def _whole(field: str, domain: Domain, takes: Callable[[str], object]) -> bool:
    """Return whether a field takes whole numbers only.

    Raises:
        ZooError: it does not take the values of its domain.
    """
    for word in domain.words:
        takes(f"{field}={word}")
    if domain.low is None or domain.high is None:
        return False
    takes(f"{field}={domain.low}")
    takes(f"{field}={domain.high}")
    try:
        takes(f"{field}={domain.low + INSIDE * (domain.high - domain.low)}")
        return False
    except ZooError:
        parts = (domain.low, domain.high, domain.step or 1)
        if any(part != int(part) for part in parts):
            raise
        return True


def as_fields(space: Mapping[str, tuple[Domain, bool]]) -> dict[str, Any]:
    """Return a search space as JSON values."""
    return {field: domain.model_dump(exclude_defaults=True) for field, (domain, _) in space.items()}
