"""Files in a zip, read where they are: nothing is unpacked to the disk, so no name in it leads anywhere.

A file in a zip is called by a path below that of the zip, ``images.zip/train/7.png``.
"""

from __future__ import annotations

import io
import os
import re
import stat
import weakref
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath

from zoo.errors import ZooError, first_line
from zoo.system.folder_walk import HIDDEN, Walk, is_hidden
from zoo.system.memory_budget import MemoryBudget

ENDING = ".zip"

MAX_MEMBERS = 1_000_000
"""The most files of a zip."""

MAX_LIST_BYTES = 2**28
"""The most bytes of the list of them at the end of a zip."""

MAX_MEMBER_BYTES = 2**28
"""The most bytes of a file in a zip, unpacked."""

MAX_BYTES = 2**40
"""The most bytes of all of them together, unpacked."""

READING = MemoryBudget(2**29)
"""The bytes of unpacked files that all threads may hold together."""

COMPRESSIONS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""The kinds of compression that zipfile unpacks no further than it is asked to; hardly a zip has others."""

OUTSIDE = "paths that lead out of the archive"
LINK = "links in a zip file, which are not followed"
TWICE = "the same path as another file in the archive"
ENCRYPTED = "protected by a password; unpack the zip file"
OTHER_COMPRESSION = "compressed in a way that is not read; unpack the zip file"
LARGE = f"larger than {MAX_MEMBER_BYTES // 2**20} MiB; unpack the zip file"


class _BoundedReads(io.BufferedReader):
    """A file of which no more is read at once than the longest list or file of a zip."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > max(MAX_LIST_BYTES, MAX_MEMBER_BYTES):
            raise zipfile.BadZipFile("its list of files is too long")
        return super().read(size)


class _Archive:
    """An opened zip file."""

    def __init__(self, path: Path) -> None:
        file = _BoundedReads(open(path, "rb", buffering=0))
        weakref.finalize(self, file.close)
        self.zip = zipfile.ZipFile(file)
        members = self.zip.infolist()
        total = sum(member.file_size for member in members)
        if len(members) > MAX_MEMBERS or total > MAX_BYTES:
            raise zipfile.BadZipFile(f"its {len(members):,} files with {total / 2**30:,.0f} GiB are too many")
        self.members: dict[str, zipfile.ZipInfo] = {}
        self.left_out: dict[str, list[str]] = defaultdict(list)
        for member in members:
            if not member.is_dir():
                self._take(member)

    def _take(self, member: zipfile.ZipInfo) -> None:
        path = PurePosixPath(member.filename.replace("\\", "/"))  # which some programs on Windows write
        name = str(path)
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
            reason = OUTSIDE
        elif any(is_hidden(part) for part in path.parts):
            reason = HIDDEN
        elif stat.S_ISLNK(member.external_attr >> 16):
            reason = LINK
        elif member.flag_bits & 1:
            reason = ENCRYPTED
        elif member.compress_type not in COMPRESSIONS:
            reason = OTHER_COMPRESSION
        elif member.file_size > MAX_MEMBER_BYTES:
            reason = LARGE
        elif name in self.members:
            reason = TWICE
        else:
            self.members[name] = member
            return
        self.left_out[reason].append(name)


@lru_cache(maxsize=4)
def _opened(path: Path, size: int, modified: int, process: int) -> _Archive:
    """Open a zip file once for as long as it stays the same; the process is named since a fork shares its position."""
    return _Archive(path)


def _archive(path: Path) -> _Archive:
    status = path.stat()
    return _opened(path, status.st_size, status.st_mtime_ns, os.getpid())


def _member(path: Path) -> tuple[_Archive, zipfile.ZipInfo] | None:
    """Return the zip that a path leads into, and the file in it; None for a path of the file system."""
    for parent in path.parents:
        if parent.suffix.lower() == ENDING and parent.is_file():
            archive = _archive(parent)
            member = archive.members.get(path.relative_to(parent).as_posix())
            return (archive, member) if member else None
    return None


def is_zip(path: Path) -> bool:
    """Return whether a path is that of a zip file, by its name."""
    return path.suffix.lower() == ENDING and path.is_file()


def files_in(path: Path, count: Callable[[Path], bool]) -> Walk:
    """List the files in a zip, as :func:`zoo.system.folder_walk.walk` lists those in a folder.

    Args:
        path: the zip file.
        count: whether a file counts, by its name; others are neither listed nor reported.

    Raises:
        ZooError: it cannot be read, or there is more in it than is read of one zip.
    """
    try:
        archive = _archive(path)
    except Exception as error:  # a damaged one raises what its bytes happen to be taken for
        raise ZooError(
            f"cannot read the zip file {path}: {first_line(error)}; unpack it and name the folder"
        ) from error
    left_out = {reason: [path / name.lstrip("/") for name in names] for reason, names in archive.left_out.items()}
    counted = {reason: sorted(filter(count, paths)) for reason, paths in left_out.items()}
    files = sorted(filter(count, (path / name for name in archive.members)))
    return Walk(files, {reason: paths for reason, paths in counted.items() if paths})


@contextmanager
def contents(path: Path) -> Iterator[Path | io.BytesIO]:
    """Yield what to open for a file: its path, or the bytes of a file in a zip.

    Raises:
        Exception: it cannot be unpacked; the packers raise a dozen kinds for damaged files.
    """
    found = _member(path)
    if found is None:
        yield path
        return
    archive, member = found
    with READING.reserved(2 * member.file_size):
        with archive.zip.open(member) as file:
            content = file.read(member.file_size)  # with a size, since what a file claims to have may be little of it
        yield io.BytesIO(content)


def is_there(path: Path) -> bool:
    """Return whether there is a regular file, in a zip or not; a pipe or a device would never end."""
    return path.is_file() or _member(path) is not None


def version(path: Path) -> tuple[int, int]:
    """Return the size of a file, and its time or checksum: other numbers when the file changes."""
    found = _member(path)
    if found is None:
        status = path.stat()
        return status.st_size, status.st_mtime_ns
    return found[1].file_size, found[1].CRC
