"""Which images of a folder are trained on, and which are held out for testing."""

from __future__ import annotations

import fnmatch
import hashlib
import stat
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from zoo.errors import ZooError, closest
from zoo.schema.base import Split
from zoo.schema.text import backslash_hint, decode_text
from zoo.system.files import user_path
from zoo.system.image_sources import SIDES, SKIPPED_SHOWN, Side, listed, printable

MAX_LIST_BYTES = 2**26


@dataclass(frozen=True)
class FolderSplit:
    """The images of each side, in the order of their paths."""

    sides: dict[Split, list[Path]]
    rule: str
    """The words for what decided."""
    left_out: dict[str, list[Path]]
    """The images that are on neither side, by reason."""


def split_images(
    root: Path, paths: Sequence[Path], *, holdout: float, group: str | int | None, test_list: str | None
) -> FolderSplit:
    """Divide the images under a folder: by a list, else by the folders' names, else by a digest of their paths.

    Args:
        root: the folder that paths count from.
        paths: the images under it.
        holdout: the share that is held out, where neither a list nor folders decide.
        group: the folders whose images stay together: a pattern of their names, or their level below ``root``.
        test_list: a file with the paths of those that are held out.

    Raises:
        ZooError: the list cannot be read or names what is not there.
    """
    if test_list is not None:
        held_out = _from_list(user_path(test_list), root, paths)
        return _divided(paths, held_out, f"{test_list} says which images are held out")
    named = {path: side_of(path.relative_to(root)) for path in paths}
    there = set(named.values())
    if there & {"test", "val"}:
        tested: Side = "test" if "test" in there else "val"
        trained: Side | None = "train" if "train" in there else None
        sides: dict[Split, list[Path]] = {
            "train": [path for path in paths if named[path] == trained],
            "test": [path for path in paths if named[path] == tested],
        }
        left_out = {
            "validation images, neither trained on nor tested": [
                path for path in paths if named[path] == "val" and tested != "val"
            ],
            "images outside the folders of training and test images": [
                path for path in paths if named[path] is None and trained is not None
            ],
        }
        rule = f"by the names of folders ({'train' if trained else 'all others'} and {tested})"
        return FolderSplit(sides, rule, {reason: names for reason, names in left_out.items() if names})
    positions = {path: position(key_of(path.relative_to(root), group)) for path in paths}
    rule = f"{holdout:.3g} of the {'images' if group is None else 'groups'} held out, by their paths"
    nearest = min(positions.values())
    if nearest >= holdout:
        rule += "; none of so few falls into that share, so the nearest is held out, which more images may change"
    return _divided(paths, {path for path, at in positions.items() if at < max(holdout, nearest * 1.000001)}, rule)


def _divided(paths: Sequence[Path], held_out: set[Path], rule: str) -> FolderSplit:
    sides: dict[Split, list[Path]] = {
        "train": [path for path in paths if path not in held_out],
        "test": [path for path in paths if path in held_out],
    }
    return FolderSplit(sides, rule, {})


def side_of(relative: PurePath) -> Side | None:
    """Return the side that the topmost folder with such a name puts an image on."""
    return next((SIDES[part.lower()] for part in relative.parts[:-1] if part.lower() in SIDES), None)


def key_of(relative: PurePath, group: str | int | None) -> str:
    """Return what decides on the side of an image: its path, or that of its group where it has one."""
    folders = relative.parts[:-1]
    if isinstance(group, int) and len(folders) >= group:
        return "/".join(folders[:group])
    if isinstance(group, str):
        for level, folder in enumerate(folders, 1):
            if fnmatch.fnmatch(folder, group):
                return "/".join(folders[:level])
    return relative.as_posix()


def position(key: str) -> float:
    """Return a number in [0, 1) that depends on the characters alone, however a system composes or encodes them.

    Its decimals are those of the sha256, the last first.
    """
    digest = hashlib.sha256(unicodedata.normalize("NFC", key).encode("utf-8", "surrogateescape")).hexdigest()
    return float(f"0.{str(int(digest, 16))[::-1]}")


def _from_list(file: Path, root: Path, paths: Sequence[Path]) -> set[Path]:
    """Return the images that a list names, each by its path below ``root``, or a folder for all in it."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_LIST_BYTES:
            raise ZooError(f"data.test_list: {file} is not a list of paths")
        text = decode_text(file.read_bytes(), f"data.test_list: {file}", "surrogateescape")
    except OSError as error:
        raise ZooError(
            f"data.test_list: cannot read {printable(file)}: {error.strerror}{backslash_hint(file)}"
        ) from error
    lines = [_normal(line.strip()) for line in text.splitlines()]
    wanted = {line.replace("\\", "/").removeprefix("./").rstrip("/") for line in lines if line}
    held_out: set[Path] = set()
    used: set[str] = set()
    for path in paths:
        relative = path.relative_to(root)
        names = [_normal(part.as_posix()) for part in (relative, *relative.parents)]
        if found := wanted.intersection(names):
            held_out.add(path)
            used |= found
    if missing := sorted(wanted - used):
        known = [_normal(path.relative_to(root).as_posix()) for path in paths]
        close = closest(missing[0], known, 1)
        hint = f"; did you mean {close[0]!r}?" if close else "; write paths below that folder, one a line"
        shown = ", ".join(map(repr, missing[:SKIPPED_SHOWN]))
        raise ZooError(f"data.test_list: {file} names {len(missing):,} that are not under {root} ({shown}){hint}")
    return held_out


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def describe(split: FolderSplit, root: Path) -> list[str]:
    """Say what decided, and what is on neither side."""
    return [split.rule, *(f"left out {listed(paths, root)}: {reason}" for reason, paths in split.left_out.items())]
