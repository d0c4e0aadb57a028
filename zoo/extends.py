"""Recipes by difference: a file says which other one it extends, and states only what is different.

``"extends": "bench/base.json"`` is a path relative to the file. Sections are merged field by field, unless they name
another choice of an axis: a section with another ``name``, ``variant`` or ``family`` replaces the one it extends.
What a file says about itself is not taken over: its name, its words, its claims and its place on the Hub.

Needs only the standard library; :mod:`zoo.schema.extends` reads with it what people have written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from zoo.errors import ZooError

Reader = Callable[[Path, str], dict[str, Any]]
"""A function that returns the fields in a file as JSON; it is told what the file is, for messages."""

TAGS = ("name", "variant", "family")
"""The fields that name the choice of an axis."""

ABOUT_ITSELF = ("$schema", "name", "summary", "claims", "hub")
"""The fields of a file that do not hold for a file that extends it."""


def resolved(path: Path, read: Reader) -> dict[str, Any]:
    """Return the fields of a recipe's file as JSON, with those of the files that it extends.

    Raises:
        ZooError: a file extends itself, or what is no path relative to it; the message names it.
    """
    return _resolved(path, read, ())


def _resolved(path: Path, read: Reader, extending: tuple[Path, ...]) -> dict[str, Any]:
    fields = read(path, f"the recipe that {extending[-1]} extends," if extending else "the recipe")
    if "extends" not in fields:
        return fields
    base = fields.pop("extends")
    if not isinstance(base, str) or not base:
        raise ZooError(f"{path}: extends: give the path of a recipe, relative to this file, as in bench/base.json")
    if PurePosixPath(base).is_absolute() or PureWindowsPath(base).anchor or "://" in base:
        raise ZooError(f"{path}: extends: {base!r} must be relative to this file")
    target = path.parent / base
    seen = [file.resolve() for file in (*extending, path)]
    if target.resolve() in seen:
        circle = " extends ".join(map(str, [*extending, path, target]))
        raise ZooError(f"{path}: extends: a recipe cannot extend itself ({circle})")
    base_fields = _resolved(target, read, (*extending, path))
    taken = {name: value for name, value in base_fields.items() if name not in ABOUT_ITSELF}
    if isinstance(taken.get("source"), dict):
        taken["source"] = {name: value for name, value in taken["source"].items() if name != "published"}
    return merged(taken, fields)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes``; see the module for how sections are merged."""
    result = dict(base)
    for name, value in changes.items():
        before = base.get(name)
        if isinstance(before, dict) and isinstance(value, dict) and same_choice(before, value):
            result[name] = merged(before, value)
        else:
            result[name] = value
    return result


def same_choice(base: dict[str, Any], changes: dict[str, Any]) -> bool:
    """Return whether changes of a section keep the choice of the axis that it is about."""
    return all(tag not in changes or changes[tag] == base.get(tag) for tag in TAGS)
