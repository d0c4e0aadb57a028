"""Files: written so that a reader sees either the old or the new content, and read with clear errors."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from zoo.errors import ZooError, escape, escaped

MAX_RECORD_BYTES = 256 * 2**20
"""The most bytes of a file that is read at once, unless its reader says otherwise."""

LEFTOVER_SECONDS = 24 * 3600.0
"""The seconds for which a temporary file is not written to before it counts as one of a killed process."""

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""The first bytes of what Git leaves in place of a large file where Git LFS is missing."""


def is_path(source: str) -> bool:
    """Return whether ``source`` is a path rather than a name: ``./mine``, ``../mine``, ``/mine`` or ``~/mine``."""
    return source.startswith((".", "/", "~")) or os.path.isabs(source)


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path as its user means it: ``~/x`` and ``~name/x`` are in a home folder.

    Raises:
        ZooError: nobody is known whose home folder that could be, or no path can be called so.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise ZooError(f"a path is text or a pathlib.Path; got {'None' if path is None else type(path).__name__}")
    if "\0" in os.fspath(path):
        raise ZooError(f"{escaped(os.fspath(path))}: no path holds a zero byte")
    expanded = os.path.expanduser(path)
    if os.fspath(path).startswith("~") and expanded.startswith("~"):
        raise ZooError(f"{path}: there is no such home folder; write ./{path} for a folder of this name")
    return Path(expanded)


def spelled(path: str | os.PathLike[str]) -> str:
    r"""Return a path as text that any file can hold; no two paths become one, and :func:`path_of` gives it back.

    A byte that is not UTF-8 becomes ``\xe4``. A backslash that could be taken for the beginning of one is doubled;
    every other path stays as it is.
    """
    text = os.fspath(path)
    if text.isascii() and "\\" not in text or os.sep == "\\":  # Windows has text for names
        return text
    if not re.search(r"[\ud800-\udfff]|\\[\\xu]", text):
        return text
    return re.sub(r"[\ud800-\udfff]|\\", lambda match: "\\\\" if match[0] == "\\" else escape(match[0]), text)


def path_of(spelling: str) -> str:
    r"""Return the path that :func:`spelled` has written: ``Fl\xe4che.png`` is ``os.fsdecode(b"Fl\xe4che.png")``."""
    if not re.search(r"\\[\\xu]", spelling):
        return spelling

    def character(match: re.Match[str]) -> str:
        digits = match[1] or match[2]
        return "\\" if digits is None else chr(int(digits, 16) + (0xDC00 if match[1] else 0))

    return re.sub(r"\\(?:x([89a-f][0-9a-f])|u(d[89a-f][0-9a-f]{2})|\\)", character, spelling)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a temporary file beside ``path``, flush it to the disk, and rename it to ``path``.

    Raises:
        ZooError: the folder is not writable or the disk is full; an older file at ``path`` is untouched.
    """
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file of text.

    Raises:
        ZooError: the file cannot be written.
    """
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def writing(path: Path, remedy: str = "what was there before is unchanged") -> Iterator[BinaryIO]:
    """Yield a file to write into, which gets its name when the context ends, and is removed if writing fails.

    Args:
        path: the file's name in the end.
        remedy: the last words of the error message.

    Raises:
        ZooError: as :func:`write_atomically`.
    """
    temporary = temporary_path(path)
    try:
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
            remove_leftovers(path)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror}; {remedy}") from error


def temporary_path(path: Path, ending: str = "tmp") -> Path:
    """Return a path beside ``path`` that nothing and nobody else has, in this process or another."""
    return path.with_name(f"{_temporary_start(path)}{secrets.token_hex(8)}.{ending}")


def temporary_paths(path: Path, ending: str = "tmp") -> list[Path]:
    """List what :func:`temporary_path` has named beside ``path``, or may have named in earlier versions."""
    older = {"tmp": r"\d+\.tmp", "replaced": r"replaced-\d+"}[ending]
    start = re.escape(f".{path.name}.")
    pattern = re.compile(rf"{re.escape(_temporary_start(path))}[0-9a-f]{{16}}\.{ending}|{start}{older}")
    try:
        with os.scandir(path.parent) as entries:
            return [Path(entry.path) for entry in entries if pattern.fullmatch(entry.name)]
    except OSError:
        return []


def _temporary_start(path: Path) -> str:
    return f".{path.name[:40]}.zoo-"  # a name may have 255 bytes


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files and folders for ``path`` that processes killed long ago have left beside it."""
    for leftover in temporary_paths(path):
        if not leftover.name.startswith(_temporary_start(path)):  # an earlier version's name could be anybody's
            continue
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime < LEFTOVER_SECONDS:
                continue
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()


def replace_between(text: str, name: str, content: str) -> str:
    """Return ``text`` with ``content`` between its markers ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
        ZooError: the markers are missing.
    """
    before, start, rest = text.partition(f"<!-- {name} -->")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not (start and end):
        raise ZooError(f"the markers of {name!r} are missing")
    return f"{before}{start}\n{content}\n{end}{after}"


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal.

    Raises:
        ZooError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror}") from error


def sha256(content: bytes) -> str:
    """Return the sha256 of ``content`` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_file(path: Path, max_bytes: int = MAX_RECORD_BYTES) -> bytes:
    """Return the content of a file in a run folder.

    Raises:
        ZooError: the file is missing, is not a regular file, or has more than ``max_bytes`` bytes.
    """
    if not os.path.isdir(path.parent):
        raise ZooError(f"there is no folder {path.parent}")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device would never end
            raise ZooError(f"{path} is not a file")
        if status.st_size > max_bytes:
            raise ZooError(f"{path} has {status.st_size:,} bytes, more than such a file can have ({max_bytes:,})")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ZooError(f"{path.parent} is not a whole run folder: {path.name} is missing") from error
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror}") from error
    if content.startswith(LFS_POINTER):
        raise ZooError(f"{path} is a pointer of Git LFS, not the file itself; run `git lfs pull` in {path.parent}")
    return content
