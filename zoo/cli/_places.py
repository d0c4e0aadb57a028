"""Places for outputs: looked at before there is anything to write, so that nothing of the user's is lost or in vain."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from zoo.cli._output import complain, is_first_process
from zoo.errors import ZooError, escaped
from zoo.system.files import is_path, user_path
from zoo.system.folders import check_empty, make_folder
from zoo.system.wildcards import PathPattern, has_wildcards

OWN_FILES = {".png": rb"tEXtSoftware\0matplotlib \d", ".csv": rb'\A"path",'}
"""Patterns in the first bytes of what the zoo writes under default names, by the ending."""

_created: list[Path] = []


def output_file(option: str, path: Path | None, endings: tuple[str, ...], default: str = "") -> Path:
    """Return the file that an output goes to. One that the user names is replaced, if it is there.

    Args:
        option: the option that names the file.
        path: its value.
        endings: the endings that the file may have.
        default: the name without the option, which must be free or that of an earlier output.

    Raises:
        ZooError: the ending is another one, the file cannot be written, or the default name is that of something else.
    """
    file = path or Path(default)
    if file.suffix not in endings or file.is_dir():
        raise ZooError(f"{option} {file}: expected the name of a {' or '.join(endings)} file")
    if not path:
        check_own(option, file)
    prepare(option, file.parent)
    return file


def output_folder(option: str, path: Path) -> Path:
    """Return the folder that is made for an output.

    Raises:
        ZooError: it is not empty, or cannot be made.
    """
    check_empty(path)
    prepare(option, path.parent, files=False)
    return path


def check_own(option: str, path: Path) -> None:
    """Refuse to replace a file under a default name, unless it is an earlier output of the zoo.

    Raises:
        ZooError: it is something else.
    """
    if not os.path.lexists(path):
        return
    start = b""
    with suppress(OSError):
        if path.is_file():
            with open(path, "rb") as file:
                start = file.read(200)
    if not re.search(OWN_FILES[path.suffix], start):
        raise ZooError(f"{path} is there already and not written by the zoo; name another file with {option}")


def prepare(option: str, folder: Path, *, files: bool = True) -> None:
    """Create a folder for outputs where it is missing; :func:`settle` says so, or removes it if nothing was written.

    Args:
        option: the option that names it.
        folder: the folder.
        files: single files are written into it, for which the root of the file system is no place.

    Raises:
        ZooError: the folder cannot be made, or cannot be written into.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    _created.extend(missing)
    root = files and folder.resolve() == Path(folder.resolve().anchor)
    if root or not os.access(folder, os.W_OK | os.X_OK):
        what = "the root of the file system" if root else "not yours to write into"
        raise ZooError(f"the folder {folder.resolve()} is {what}; choose another with {option}")


def settle() -> None:
    """Say which folders :func:`prepare` has created; those in which nothing was written are removed again."""
    said = False
    for folder in _created:  # each before those above it
        try:
            folder.rmdir()
        except OSError:  # in use
            if not said and folder.is_dir() and is_first_process():
                complain(f"created the folder {escaped(str(folder))}")
            said = True
    _created.clear()


def check_apart(option: str, path: Path, images: str) -> None:
    """Refuse a file that would be written among the images that are read, and be one of them the next time.

    Raises:
        ZooError: the images are those of a folder, a pattern or a file, and the path is in it, or matches it, or is it.
    """
    source = user_path(images)
    if ":" in images and not source.exists():
        source = user_path(images.rpartition(":")[0])
    if not is_path(images) and not has_wildcards(images) and not source.is_file():  # a dataset
        return
    source = source if source.exists() else source.absolute()
    inside = source.is_dir() and path.resolve().is_relative_to(source.resolve())
    same = source.is_file() and path.resolve() == source.resolve()
    if inside or same or (has_wildcards(source) and PathPattern(source).matches(path.absolute())):
        raise ZooError(f"{option} {path} is among the images of {images}; choose another place")
