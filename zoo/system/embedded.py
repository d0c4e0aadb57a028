"""Image files within something larger, a shard or a table, beside those that have a path of their own."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TypeVar

from zoo.system.zip_files import READING, contents


@dataclass(frozen=True)
class Embedded:
    """The bytes of an image file within something larger. What lies under the same ``path`` is the same."""

    path: PurePath
    """The name below the source, ``train/000001.tar/7.png``, by which it is told from the others."""
    read: Callable[[], bytes] = field(compare=False, repr=False)
    """Reads the bytes; called from several threads."""
    size: int = field(default=0, compare=False)
    """The number of bytes, where it is known before they are read."""


ImageFile = Path | Embedded
"""An image file: a path, which may lead into a zip, or bytes within something else."""

FileT = TypeVar("FileT", bound=ImageFile)


@contextmanager
def opened(file: ImageFile) -> Iterator[Path | io.BytesIO]:
    """Yield what to open for an image file: its path, or its bytes.

    Raises:
        Exception: it cannot be read, or not be unpacked.
    """
    if isinstance(file, Embedded):
        with READING.reserved(file.size):
            yield io.BytesIO(file.read())
        return
    with contents(file) as found:
        yield found
