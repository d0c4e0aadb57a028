"""Which images are trained on, and which are held out for testing."""

from __future__ import annotations

import fnmatch
import hashlib
import stat
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Generic

from zoo.errors import ZooError, closest
from zoo.schema.base import Split
from zoo.schema.text import backslash_hint, decode_text
from zoo.system.embedded import FileT
from zoo.system.files import user_path
from zoo.system.image_sources import SIDES, SKIPPED_SHOWN, Side, printable

MAX_LIST_BYTES = 2**26


@dataclass(frozen=True)
class Sides(Generic[FileT]):
    """The images of each side, in their order."""

    sides: dict[Split, list[FileT]]
    rule: str
    """The words for what decided."""
    left_out: dict[str, list[FileT]] = field(default_factory=dict)
    """The images that are on neither side, by reason."""
    doubt: str = ""
    """The words for what may not be as it was meant, if anything."""

    def only(self, wanted: Collection[FileT], reason: str) -> Sides[FileT]:
        """Return the sides with the images that are ``wanted``; the others are left out for a reason."""
        outside = sorted((image for images in self.sides.values() for image in images if image not in wanted), key=str)
        sides = {side: [image for image in images if image in wanted] for side, images in self.sides.items()}
        return replace(self, sides=sides, left_out=self.left_out | ({reason: outside} if outside else {}))


def split_images(
    root: Path, paths: Sequence[Path], *, holdout: float, group: str | int | None, test_list: str | None
) -> Sides[Path]:
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
    relative = {path: path.relative_to(root) for path in paths}
    named = by_names({path: side_of(inner) for path, inner in relative.items()}, "folders")
    if named is not None:
        return replace(named, doubt=on_both_sides(named, _groups(root, paths, group)))
    keys = {path: key_of(inner, group) for path, inner in relative.items()}
    divided = by_keys(keys, holdout, "images" if group is None else "groups", "paths")
    return replace(divided, doubt=_ungrouped(relative, keys, group))


def by_names(named: Mapping[FileT, Side | None], what: str) -> Sides[FileT] | None:
    """Divide images by the names of what they are in; return None where no name tells of test or validation images.

    Args:
        named: the side that is named for each image.
        what: the plural noun for what the names are of.
    """
    there = set(named.values())
    if not there & {"test", "val"}:
        return None
    tested: Side = "test" if "test" in there else "val"
    trained: Side | None = "train" if "train" in there else None
    sides: dict[Split, list[FileT]] = {
        "train": [image for image, side in named.items() if side == trained],
        "test": [image for image, side in named.items() if side == tested],
    }
    left_out = {
        "validation images, neither trained on nor tested": [
            image for image, side in named.items() if side == "val" and tested != "val"
        ],
        f"images outside the {what} of training and test images": [
            image for image, side in named.items() if side is None and trained is not None
        ],
    }
    rule = f"by the names of {what} ({'train' if trained else 'all others'} and {tested})"
    return Sides(sides, rule, {reason: images for reason, images in left_out.items() if images})


def by_keys(keys: Mapping[FileT, str], holdout: float, what: str, kind: str) -> Sides[FileT]:
    """Hold out a share of images by a digest of their keys; those with the same key stay on one side.

    Args:
        keys: the key of each image.
        holdout: the share that is held out.
        what: the plural noun for what shares a key: images or groups.
        kind: the plural noun for the keys.
    """
    places = {key: position(key) for key in dict.fromkeys(keys.values())}
    rule = f"{holdout:.3g} of the {what} held out, by their {kind}"
    nearest = min(places.values())
    if nearest >= holdout:
        rule += "; none of so few falls into that share, so the nearest is held out, which more images may change"
    limit = max(holdout, nearest * 1.000001)
    return _divided(list(keys), {image for image, key in keys.items() if places[key] < limit}, rule)


def _divided(images: Sequence[FileT], held_out: Collection[FileT], rule: str) -> Sides[FileT]:
    sides: dict[Split, list[FileT]] = {
        "train": [image for image in images if image not in held_out],
        "test": [image for image in images if image in held_out],
    }
    return Sides(sides, rule)


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
            if fnmatch.fnmatch(_normal(folder), _normal(group)):
                return "/".join(folders[:level])
    return relative.as_posix()


def _groups(root: Path, paths: Sequence[Path], group: str | int | None) -> dict[Path, str]:
    """Return the group of each image that is in one, whatever side its folder is on."""
    groups: dict[Path, str] = {}
    for path in paths if group is not None else ():
        inner = path.relative_to(root)
        key = key_of(inner, group)
        if key != inner.as_posix():
            parts = key.split("/")
            side = next((part for part in parts if part.lower() in SIDES), None)
            groups[path] = "/".join(part for part in parts if part is not side)
    return {path: name for path, name in groups.items() if name}


def on_both_sides(sides: Sides[FileT], groups: Mapping[FileT, str]) -> str:
    """Say which groups have images on both sides, if any: those held out are then not new.

    Args:
        sides: the images of each side.
        groups: the group of each image that is in one.
    """
    of_side = ({groups[image] for image in sides.sides[side] if image in groups} for side in ("train", "test"))
    both = sorted(set.intersection(*of_side))
    if not both:
        return ""
    shown = ", ".join(printable(Path(name)) for name in both[:SKIPPED_SHOWN])
    more = ", …" if len(both) > SKIPPED_SHOWN else ""
    return (
        f"{len(both):,} groups (data.group) are on both sides, {sides.rule}: {shown}{more}; what is held out is not new"
    )


def _ungrouped(relative: Mapping[Path, PurePath], keys: Mapping[Path, str], group: str | int | None) -> str:
    """Say how many images are in none of the folders whose images are to stay together, if any."""
    alone = [path for path, inner in relative.items() if keys[path] == inner.as_posix()]
    if group is None or not alone:
        return ""
    folders = f"{group} folders deep" if isinstance(group, int) else f"in a folder called {group!r}"
    none = "no image is" if len(alone) == len(relative) else f"{len(alone):,} of {len(relative):,} images are not"
    return f"{none} {folders} (data.group), so each of them may be held out by itself"


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
