"""Folders: created where they are missing, written so that all of their files appear together or none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo.errors import ZooError
from zoo.system.files import remove_leftovers, temporary_path, temporary_paths


def replace_folder(complete: Path, out: Path, replaceable: Callable[[Path], object]) -> None:
    """Rename ``complete`` to ``out``, replacing an older folder, or change nothing.

    Args:
        complete: the folder to rename.
        out: its new name.
        replaceable: raises an error unless what is at ``out`` now may be removed.

    Raises:
        OSError: the folder cannot be renamed.
    """
    replaceable(out)
    replaced = temporary_path(out, "replaced")
    if out.exists():
        out.rename(replaced)
    try:
        complete.rename(out)
    except OSError:
        if replaced.exists():
            replaced.rename(out)
        raise
    for older in temporary_paths(out, "replaced"):  # those of a killed process, too
        with suppress(ZooError):
            replaceable(older)
            shutil.rmtree(older, ignore_errors=True)


@contextmanager
def new_folder(out: Path, replaceable: Callable[[Path], object] | None = None) -> Iterator[Path]:
    """Yield a folder to write into, which gets its name when the context ends, and is removed if writing fails.

    Args:
        out: the folder's name in the end.
        replaceable: raises an error unless what is at ``out`` may be removed; None: it must be empty.

    Raises:
        ZooError: the folder cannot be written, or its name is taken.
    """
    replaceable = replaceable or check_empty
    replaceable(out)
    make_folder(out.parent)
    complete = temporary_path(out)
    try:
        complete.mkdir()
        try:
            yield complete
            replace_folder(complete, out, replaceable)
        finally:
            shutil.rmtree(complete, ignore_errors=True)
            remove_leftovers(out)
    except OSError as error:
        raise ZooError(f"cannot write {out}: {error.strerror}; choose another folder") from error


def check_empty(folder: Path) -> None:
    """Refuse a folder whose files could be overwritten.

    Raises:
        ZooError: the folder is not empty, or cannot be created under this name.
    """
    if names_in(folder):
        raise ZooError(f"{folder} is there already and not empty; choose another folder")


def names_in(folder: Path) -> set[str]:
    """Return the names of the files in a folder that may not be there yet.

    Raises:
        ZooError: what is there cannot become a folder, or cannot be read.
    """
    if folder.is_symlink():
        raise ZooError(f"{folder} is a link; remove it, or choose another folder")
    for place in (os.path.expanduser("~"), os.getcwd()):
        if folder.name and folder.exists() and Path(os.path.realpath(place)).is_relative_to(folder.resolve()):
            raise ZooError(f"{folder} holds your home folder, or the one that you work in; name a new folder")
    if not folder.name or (folder.exists() and not folder.is_dir()):
        raise ZooError(f"{folder} cannot become a folder; choose another name")
    try:
        return {path.name for path in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise ZooError(f"cannot read {folder}: {error.strerror}; choose another folder") from error


def make_folder(path: Path, remedy: str = "choose another one") -> None:
    """Create a folder and the folders above it, where they are missing.

    Args:
        path: the folder.
        remedy: the last words of the error message.

    Raises:
        ZooError: the folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZooError(f"cannot create the folder {path}: {error.strerror}; {remedy}") from error
