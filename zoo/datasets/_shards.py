"""The samples of WebDataset shards: tar files in which the files of a sample follow each other under one key.

`7.jpg`, `7.cls` and `7.json` are the sample with the key `7`: a file's key reaches to the first dot of its name, what
comes after it is its ending.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from zoo.datasets._folder_split import side_of
from zoo.errors import ZooError, escaped, first_line, suggest
from zoo.schema.text import backslash_hint
from zoo.system.embedded import Embedded
from zoo.system.folder_walk import HIDDEN, UNREADABLE, walk
from zoo.system.image_files import endings
from zoo.system.image_sources import Side, printable
from zoo.system.tar_files import ENDING, TarMember, members_of
from zoo.system.wildcards import PathPattern, has_wildcards

USUAL_LABEL = "cls"
"""The ending of the files that hold labels, where there are such."""

MAX_LABEL_BYTES = 2**20
"""The most bytes of a file with a label, or of a JSON file that has one."""

SEVERAL = "samples of several images; data.image chooses one by its ending"
SAME_ENDING = "a second file of a sample with the same ending, but for capitals"
NO_IMAGE = "samples without an image of that ending"


@dataclass
class Samples:
    """The images in shards, in the order of shards and keys."""

    images: list[Embedded] = field(default_factory=list)
    keys: dict[Embedded, str] = field(default_factory=dict)
    """The key of each image, without its shard."""
    words: dict[Embedded, str] = field(default_factory=dict)
    """The label of each image that has one, as a word."""
    left_out: dict[str, list[PurePath]] = field(default_factory=lambda: defaultdict(list))


def shards_at(source: Path) -> tuple[Path, list[Path], dict[str, list[Path]]]:
    """List tar files: the folder that they are in, the files, and what is left out, by reason.

    Args:
        source: a tar file, a folder, or a pattern of paths.

    Raises:
        ZooError: there are none, or they are compressed.
    """
    name = printable(source)
    if source.is_file():
        if source.suffix.lower() != ENDING:
            raise ZooError(f"data.path: {name} is no tar file{_unpack(source)}")
        return source.parent, [source], {}
    if source.is_dir():
        root, found = source, walk(source, _is_shard)
    elif has_wildcards(source):
        pattern = PathPattern(source)
        root = pattern.root
        found = walk(root, lambda path: _is_shard(path) and pattern.matches(path), enter=pattern.may_hold)
    else:
        braces = re.sub(r"\{[^{}]*\}", "*", source.as_posix())
        hint = f"; write {braces} for it" if braces != source.as_posix() else backslash_hint(source)
        raise ZooError(f"data.path: there is no file or folder {name}{hint}")
    shards = [path for path in found.files if path.suffix.lower() == ENDING]
    if not shards:
        packed = f": {printable(found.files[0])} is compressed{_unpack(found.files[0])}" if found.files else ""
        raise ZooError(f"data.path: there is no tar file under {name}{packed}")
    left_out = {reason: paths for reason, paths in found.left_out.items() if reason in (HIDDEN, UNREADABLE)}
    if packed_too := [path for path in found.files if path not in set(shards)]:
        left_out["compressed tar files; unpack them with gunzip"] = packed_too
    return root, shards, left_out


def _is_shard(path: Path) -> bool:
    return path.suffix.lower() == ENDING or path.name.lower().endswith((".tar.gz", ".tgz", ".tar.zst", ".tar.xz"))


def _unpack(path: Path) -> str:
    return "; unpack it with gunzip first" if path.suffix.lower() in (".gz", ".tgz") else ""


def samples_in(root: Path, shards: Sequence[Path], image: str | None, label: str | None) -> Samples:
    """List the images in shards with their keys and labels; what is listed once is kept while nothing changes.

    Args:
        root: the folder that the shards are in.
        shards: the tar files.
        image: the ending of the images; None: that of the one image of each sample.
        label: the ending of files that hold a label, or a field of the JSON files, ``json.FIELD``; None: ``cls``, if
            there are such.

    Raises:
        ZooError: a shard cannot be read, or there is no image, no ending or no label of that name.
    """
    stats = tuple((path.stat().st_size, path.stat().st_mtime_ns) for path in shards)
    return _samples_in(root, tuple(shards), stats, image, label)


@lru_cache(maxsize=2)
def _samples_in(
    root: Path, shards: tuple[Path, ...], stats: tuple[tuple[int, int], ...], image: str | None, label: str | None
) -> Samples:
    samples = Samples()
    there: set[str] = set()  # the endings of images
    others: set[str] = set()  # and of other files
    jsons: list[TarMember] = []  # the first
    for shard in shards:
        inner = shard.relative_to(root)
        members, left_out = members_of(shard)
        for reason, names in left_out.items():
            samples.left_out[reason] += [inner / name for name in names]
        by_key, again = _by_key(members)
        if again:
            samples.left_out[SAME_ENDING] += [inner / member.name for member in again]
        for key, files in by_key.items():
            found = {ending: files[ending] for ending in files if _is_image(ending)}
            there |= found.keys()
            others |= files.keys() - found.keys()
            chosen = [found[image]] if image in found else [] if image else list(found.values())
            if len(chosen) != 1:
                if found:
                    samples.left_out[NO_IMAGE if image else SEVERAL].append(inner / key)
                continue
            member = chosen[0]
            embedded = Embedded(inner / member.name, member.read, member.size)
            samples.images.append(embedded)
            samples.keys[embedded] = key
            jsons += [files["json"]] if not jsons and "json" in files else []
            word = _word(files, label or USUAL_LABEL)
            if word is not None:
                samples.words[embedded] = word
    if not samples.images:
        where = f"{len(shards):,} tar file(s) under {escaped(str(root))}"
        raise ZooError(f"data.path: no image is read in {where}{_instead(image, there, samples.left_out)}")
    if label is not None and not samples.words:
        known = [f"json.{name}" for name in _object(jsons[0])] if jsons and label.startswith("json") else others
        if label in known:
            raise ZooError(f"data.label: {label!r} has no value in any sample")
        raise ZooError(f"data.label: no sample has {label!r}{suggest(label, known)}")
    return samples


def _instead(image: str | None, there: set[str], left_out: dict[str, list[PurePath]]) -> str:
    """Say what there is in place of the images that were looked for."""
    if image is not None and there:
        return f": data.image is {image!r}{suggest(image, there)}"
    if SEVERAL in left_out:
        return f": each sample has several ({', '.join(sorted(there))}); data.image chooses one"
    return f" (looked for {', '.join(sorted(endings()))})"


def _is_image(ending: str) -> bool:
    return f".{ending.rpartition('.')[2]}" in endings()


def _by_key(members: Sequence[TarMember]) -> tuple[dict[str, dict[str, TarMember]], list[TarMember]]:
    """Return the files of each sample by their endings, in lower case, and those whose ending another file has."""
    samples: dict[str, dict[str, TarMember]] = defaultdict(dict)
    again: list[TarMember] = []
    for member in members:
        stem, _, ending = member.name.name.partition(".")
        if samples[str(member.name.with_name(stem))].setdefault(ending.lower(), member) is not member:
            again.append(member)
    return samples, again


def _word(files: dict[str, TarMember], label: str) -> str | None:
    """Return the label of a sample as a word, or None where it has none.

    Raises:
        ZooError: its file is no text, or its value neither a word nor a whole number.
    """
    if label.startswith("json."):
        name = label.removeprefix("json.")
        value = _object(files["json"]).get(name) if "json" in files else None
        if isinstance(value, bool) or not isinstance(value, int | str | None):
            raise ZooError(
                f"data.label: {name} in {printable(files['json'].path)} is {value!r}, neither a word nor a whole number"
            )
        return None if value is None else str(value) or None
    member = files.get(label.lower())
    return None if member is None else _text(member).strip() or None


def _text(member: TarMember) -> str:
    if member.size > MAX_LABEL_BYTES:
        raise ZooError(f"data.label: {printable(member.path)} has {member.size:,} bytes, too many for a label")
    try:
        return member.read().decode()
    except (OSError, ValueError) as error:
        raise ZooError(f"data.label: {printable(member.path)} cannot be read ({first_line(error)})") from error


def _object(member: TarMember) -> dict[str, Any]:
    try:
        value = json.loads(_text(member))
    except (ValueError, RecursionError) as error:
        raise ZooError(f"data.label: {printable(member.path)} is no JSON ({first_line(error)})") from error
    return value if isinstance(value, dict) else {}


def side_of_image(path: PurePath) -> Side | None:
    """Return the side that is named by a folder, or by a word of a shard's name, as in ``train-0001.tar``."""
    return _side_of_folder(path.parent)


@cache
def _side_of_folder(folder: PurePath) -> Side | None:
    words = [re.split(r"[^A-Za-z]+", part[:-4]) if part.lower().endswith(ENDING) else [part] for part in folder.parts]
    return side_of(PurePosixPath(*(word for part in words for word in part if word), "image"))
