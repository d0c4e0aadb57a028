"""Folders that name each of their files with its sha256, so that one that nobody has touched is known and replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from zoo.errors import ZooError, escaped
from zoo.schema.parsing import parse_json
from zoo.schema.text import decode_text
from zoo.system.files import read_file, sha256, sha256_of_file
from zoo.system.folders import names_in, new_folder

IGNORED = "__pycache__"
"""The name of the folders that Python writes beside what it runs."""


def write_folder(out: Path, files: Mapping[str, bytes], manifest: str) -> None:
    """Write a folder, all of it or nothing, in place of an empty one or one of its kind that nobody has changed.

    Args:
        out: the folder.
        files: the content of each file by its path within the folder, ``a/b.txt``.
        manifest: the name of the file, one more, that holds the sha256 of each.

    Raises:
        ZooError: there is something else at ``out``, or it cannot be written.
    """
    digests = {path: sha256(files[path]) for path in sorted(files)}
    with new_folder(out, lambda folder: check_untouched(folder, manifest)) as complete:
        for path, content in {**files, manifest: json.dumps(digests, indent=1).encode() + b"\n"}.items():
            (complete / path).parent.mkdir(parents=True, exist_ok=True)
            (complete / path).write_bytes(content)


def check_untouched(folder: Path, manifest: str) -> None:
    """Refuse a folder that holds anything but the files that its manifest names, as they were written.

    Raises:
        ZooError: it does; names the files.
    """
    if not names_in(folder):
        return
    try:
        digests = parse_json(decode_text(read_file(folder / manifest), manifest), manifest)
    except ZooError as error:
        raise ZooError(f"{folder} is there already and not empty; choose another folder") from error
    others = [path for path in _files(folder) if path != manifest and not _is(folder / path, digests.get(path))]
    if others:
        listed = ", ".join([*map(escaped, others[:3]), *(["..."] if len(others) > 3 else [])])
        raise ZooError(f"{folder} holds files that were added or changed by hand ({listed}); choose another folder")


def _files(folder: Path) -> list[str]:
    """List the paths of all files within a folder, with / between their parts."""
    found = []
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        folders[:] = [name for name in folders if name != IGNORED and name not in links]
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in names + links]
    return sorted(found)


def _is(path: Path, digest: object) -> bool:
    return isinstance(digest, str) and not path.is_symlink() and path.is_file() and sha256_of_file(path) == digest
