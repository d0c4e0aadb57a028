"""The digest that identifies a recipe, over the sections that determine the weights and not over its texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

DECISIVE_SECTIONS = frozenset({"data", "model", "objective", "optimizer", "training"})
"""The sections of a recipe that determine the weights; ``execution`` changes them by rounding only."""


def digest(recipe: dict[str, Any]) -> str:
    """Return a sha256 over the sections that determine the weights.

    Args:
        recipe: the fields of a recipe, with every default written out.
    """
    decisive = {section: recipe.get(section) for section in DECISIVE_SECTIONS}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return a line for each field of the decisive sections that differs: ``training.epochs was 3, is 9``."""
    return [
        line
        for section in sorted(DECISIVE_SECTIONS)
        for line in _differing(before.get(section), now.get(section), section)
    ]


def _differing(before: Any, now: Any, path: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            yield from _differing(before.get(name), now.get(name), f"{path}.{name}")
    elif before != now:
        yield f"{path} was {json.dumps(before)}, is {json.dumps(now)}"
