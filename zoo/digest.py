"""What identifies a recipe: the sections that determine the weights, and nothing that is only words."""

from __future__ import annotations

import hashlib
import json
from typing import Any

DECISIVE = frozenset({"data", "model", "objective", "optimizer", "training"})
"""The sections of a recipe that determine the weights."""


def digest(recipe: dict[str, Any]) -> str:
    """sha256 over the sections that determine the weights, of a recipe with every default written out."""
    decisive = {section: recipe.get(section) for section in DECISIVE}
    if isinstance(decisive["training"], dict):
        decisive["training"] = {k: v for k, v in decisive["training"].items() if k != "checkpoint_every"}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
