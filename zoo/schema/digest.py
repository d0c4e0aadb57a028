"""What identifies a recipe: the sections that determine the weights, and nothing that is only words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

DECISIVE = frozenset({"data", "model", "objective", "optimizer", "training"})
"""The sections of a recipe that determine the weights; how its steps are executed changes them by rounding only."""


def digest(recipe: dict[str, Any]) -> str:
    """sha256 over the sections that determine the weights, of a recipe with every default written out."""
    decisive = {section: recipe.get(section) for section in DECISIVE}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def differences(begun: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Where the decisive sections of two recipes differ: ``training.epochs was 3, is 9``."""
    return [line for section in sorted(DECISIVE) for line in _differing(begun.get(section), now.get(section), section)]


def _differing(begun: Any, now: Any, place: str) -> Iterator[str]:
    if isinstance(begun, dict) and isinstance(now, dict):
        for name in sorted({*begun, *now}):
            yield from _differing(begun.get(name), now.get(name), f"{place}.{name}")
    elif begun != now:
        yield f"{place} was {json.dumps(begun)}, is {json.dumps(now)}"
