"""Files and folders: written so that a reader sees either the old or the new content, and read with clear errors."""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from zoo.errors import ZooError

MAX_RECORD_BYTES = 256 * 2**20
"""The most bytes of a file that is read at once, unless its reader says otherwise."""


def is_path(source: str) -> bool:
    """Return whether ``source`` is a path rather than a name: ``./mine``, ``../mine``, ``/mine`` or ``~/mine``."""
    return source.startswith((".", "/", "~")) or os.path.isabs(source)


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
        raise ZooError(f"cannot write {path}: {error.strerror}; {remedy}") from error


def replace_folder(complete: Path, out: Path) -> None:
    """Rename ``complete`` to ``out``, replacing an older folder, or change nothing.

    Raises:
        OSError: the folder cannot be renamed.
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
    for older in out.parent.glob(f".{glob.escape(out.name)}.replaced-*"):  # those of a killed process, too
        shutil.rmtree(older, ignore_errors=True)


@contextmanager
def new_folder(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a folder to write into, which gets its name when the context ends, and is removed if writing fails.

    Args:
        out: the folder's name in the end; unless ``replace``, a folder of this name must be empty.
        replace: replace an older folder.

    Raises:
        ZooError: the folder cannot be written, or its name is taken.
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
        raise ZooError(f"cannot write {out}: {error.strerror}; choose another folder") from error


def check_empty(folder: Path) -> None:
    """Refuse a folder whose files could be overwritten.

    Raises:
        ZooError: the folder is not empty, or cannot be created under this name.
    """
    if _names_in(folder):
        raise ZooError(f"{folder} is there already and not empty; choose another folder")


def check_replaceable(folder: Path, option: str, run_files: Collection[str], *, overwrite: bool) -> None:
    """Refuse to replace anything but a run folder, and a run folder only if it was asked for.

    Args:
        folder: the folder that would be replaced, if it is there.
        option: the option of the command line that names it.
        run_files: the names of the files that a run folder may hold.
        overwrite: whether a run folder may be replaced.

    Raises:
        ZooError: the folder holds other files, or a run, or cannot be created under this name.
    """
    names = _names_in(folder)
    if names - set(run_files):
        raise ZooError(f"{folder} holds files that no run has written; choose another folder with {option}")
    if names and not overwrite:
        remedies = f"--overwrite replaces it (in Python, overwrite=True), {option} names another folder"
        raise ZooError(f"{folder} is there already; {remedies}")


def _names_in(folder: Path) -> set[str]:
    """Return the names of the files in a folder that may not be there yet."""
    if not folder.name or folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ZooError(f"{folder} cannot become a folder; choose another name")
    try:
        return {path.name for path in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise ZooError(f"cannot read {folder}: {error.strerror}; choose another folder") from error


def make_folder(path: Path) -> None:
    """Create a folder and the folders above it, where they are missing.

    Raises:
        ZooError: the folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZooError(f"cannot create the folder {path}: {error.strerror}; choose another one") from error


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
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ZooError(f"{path.parent} is not a whole run folder: {path.name} is missing") from error
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror}") from error
