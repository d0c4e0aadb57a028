"""Writing files so that a reader sees the whole old one or the whole new one, and reading them with a clear word."""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from zoo.errors import ZooError

MAX_RECORD_BYTES = 256 * 2**20
"""The most bytes that a file may have which is read whole, unless its reader says otherwise."""


def is_path(source: str) -> bool:
    """Whether a path is meant, rather than a name: ``./mine``, ``../mine``, ``/mine`` or ``~/mine``."""
    return source.startswith((".", "/", "~")) or os.path.isabs(source)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write to a temporary file beside ``path``, flush it to the disk, rename it into place.

    Raises:
        ZooError: the folder is not writable or the disk is full; an older file at ``path`` is untouched.
    """
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file to write into, which gets its name when the block ends, and disappears if that fails.

    Raises:
        ZooError: as :func:`write_atomically`.
    """
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror}; what was there before is unchanged") from error


def replace_folder(complete: Path, out: Path) -> None:
    """Rename ``complete`` to ``out``, in place of an older folder, or leave both as they are.

    Raises:
        OSError: it cannot be renamed.
    """
    replaced = out.parent / f".{out.name}.replaced-{os.getpid()}"
    if out.exists():
        out.rename(replaced)
    try:
        complete.rename(out)
    except OSError:
        if replaced.exists():
            replaced.rename(out)
        raise
    for older in out.parent.glob(f".{glob.escape(out.name)}.replaced-*"):  # also of a process that was killed here
        shutil.rmtree(older, ignore_errors=True)


@contextmanager
def new_folder(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """A folder to write into, which gets its name when the block ends, and disappears if that fails.

    Args:
        out: its name; a folder that is there already must be empty.
        replace: or is replaced.

    Raises:
        ZooError: it cannot be written, or there is something else.
    """
    if not replace:
        check_empty(out)
    make_folder(out.parent)
    try:
        with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
            complete = Path(temporary) / out.name
            complete.mkdir()
            yield complete
            replace_folder(complete, out)
    except OSError as error:
        raise ZooError(f"cannot write {out}: {error.strerror}; choose another place") from error


def check_empty(folder: Path) -> None:
    """Refuse a folder whose files could be overwritten.

    Raises:
        ZooError: it is there and not empty, or no name for a new one.
    """
    if not folder.name or folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ZooError(f"{folder} cannot become a folder; choose another name")
    if folder.exists() and any(folder.iterdir()):
        raise ZooError(f"{folder} is there already and not empty; choose another folder")


def make_folder(path: Path) -> None:
    """Create a folder and those above it.

    Raises:
        ZooError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZooError(f"cannot create the folder {path}: {error.strerror}; choose another one") from error


def sha256_of_file(path: Path) -> str:
    """Hexadecimal digest.

    Raises:
        ZooError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror}") from error


def sha256(content: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(content).hexdigest()


def read_file(path: Path, largest: int = MAX_RECORD_BYTES) -> bytes:
    """A file's content.

    Raises:
        ZooError: it is missing, no regular file, or larger than what belongs there.
    """
    if not os.path.isdir(path.parent):
        raise ZooError(f"there is no folder {path.parent}")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device would never end
            raise ZooError(f"{path} is no file")
        if status.st_size > largest:
            raise ZooError(f"{path} has {status.st_size:,} bytes, more than such a file can have ({largest:,})")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ZooError(f"{path.parent} is not a whole run folder: {path.name} is missing") from error
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror}") from error
