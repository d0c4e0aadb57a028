"""Patterns of paths, such as ``./images/*.png`` and ``./images/**/left_*``, as shells know them."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path

ANY_FOLDERS = "**"
"""The part of a pattern that stands for any number of folders, or none."""


def has_wildcards(source: str | os.PathLike[str]) -> bool:
    """Return whether a path has one of the characters ``*``, ``?`` and ``[``."""
    return bool(set("*?[") & set(os.fspath(source)))


class PathPattern:
    """A pattern of paths; a folder that matches stands for all that is in it.

    Args:
        source: the pattern. Its beginning is a path like any other, as far as there is such a folder.
    """

    def __init__(self, source: Path) -> None:
        names = source.parts
        known = 0
        while known < len(names) - 1 and Path(*names[: known + 1]).is_dir():
            known += 1
        self.root = Path(*names[:known])
        """The folder that every path is in."""
        self._parts = [None if name == ANY_FOLDERS else re.compile(fnmatch.translate(name)) for name in names[known:]]

    def matches(self, path: Path) -> bool:
        """Return whether a path matches, or a folder that it is in."""
        return self._match(path, begins=False)

    def may_hold(self, folder: Path) -> bool:
        """Return whether something in a folder can match."""
        return self._match(folder, begins=True)

    def _match(self, path: Path, *, begins: bool) -> bool:
        """Return whether a path matches, or, if it only ``begins`` one, whether the whole can.

        The set of parts that the next name may belong to is followed from name to name, so that many ``**`` take no
        longer than one.
        """
        if not path.is_relative_to(self.root):
            return False
        end = len(self._parts)
        places = self._with_skipped({0})
        for name in path.relative_to(self.root).parts:
            if end in places:
                return True
            parts = {place: self._parts[place] for place in places}
            stay = {place for place, part in parts.items() if part is None}
            advance = {place + 1 for place, part in parts.items() if part is not None and part.fullmatch(name)}
            places = self._with_skipped(stay | advance)
        return end in places or (begins and bool(places))

    def _with_skipped(self, places: set[int]) -> set[int]:
        """Return the places, and those that are reached when ``**`` stands for no folder."""
        found = set(places)
        for place in sorted(places):
            while place < len(self._parts) and self._parts[place] is None:
                place += 1
                found.add(place)
        return found
