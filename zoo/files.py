"""Writing files so that a reader sees the whole old one or the whole new one, and reading them with a clear word."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from zoo.errors import ZooError


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write to a temporary file beside ``path``, flush it to the disk, rename it into place.

    Raises:
        ZooError: the folder is not writable or the disk is full; an older file at ``path`` is untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror}; what was there before is unchanged") from error


def make_folder(path: Path) -> None:
    """Create a folder and those above it.

    Raises:
        ZooError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZooError(f"cannot create the folder {path}: {error.strerror}; choose another one with --out") from error


def sha256(content: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(content).hexdigest()
