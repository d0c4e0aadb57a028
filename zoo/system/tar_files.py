"""The files in a tar file, read where they are: nothing is unpacked to the disk, so no name in it leads anywhere."""

from __future__ import annotations

import io
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoo.errors import ZooError, escaped, first_line
from zoo.system.folder_walk import HIDDEN, is_hidden
from zoo.system.zip_files import LARGE, LINK, MAX_MEMBER_BYTES, MAX_MEMBERS, OUTSIDE, TWICE

ENDING = ".tar"

MAX_HEADER_BYTES = 2**20
"""The most bytes of the names and notes that stand before a file."""

SPECIAL = "pipes, devices, or files with holes in a tar file"


@dataclass(frozen=True)
class TarMember:
    """A file in a tar file."""

    archive: Path
    name: PurePosixPath
    start: int
    """The position of its first byte."""
    size: int

    @property
    def path(self) -> Path:
        """The path below that of the tar file."""
        return self.archive / self.name

    def read(self) -> bytes:
        """Return its bytes.

        Raises:
            OSError: the tar file cannot be read, or has become shorter.
        """
        with open(self.archive, "rb", buffering=0) as file:
            file.seek(self.start)
            content = file.read(self.size)
        if len(content) < self.size:
            raise OSError("the tar file is cut off")
        return content


class _BoundedReads(io.BufferedReader):
    """A file of which no more is read at once than the longest header of a tar file."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header of it is too long")
        return super().read(size)


def members_of(path: Path) -> tuple[list[TarMember], dict[str, list[PurePosixPath]]]:
    """List the files in a tar file, in its order, and what is left out, by reason.

    Args:
        path: the tar file, which is not compressed.

    Raises:
        ZooError: it cannot be read, is damaged or cut off, or there is more in it than is read of one tar file.
    """
    members: list[TarMember] = []
    left_out: dict[str, list[PurePosixPath]] = defaultdict(list)
    names: set[PurePosixPath] = set()
    try:
        for member in _headers(path):
            name = PurePosixPath(member.name)
            if member.isdir():
                continue
            if reason := _unwanted(member, name, names):
                left_out[reason].append(name)
                continue
            names.add(name)
            members.append(TarMember(path, name, member.offset_data, member.size))
    except Exception as error:  # a damaged one raises what its bytes happen to be taken for
        raise ZooError(f"cannot read the tar file {escaped(str(path))}: {first_line(error)}") from error
    return members, dict(left_out)


def _unwanted(member: tarfile.TarInfo, name: PurePosixPath, names: set[PurePosixPath]) -> str | None:
    """Return why a file is left out, if it is."""
    if name.is_absolute() or ".." in name.parts:
        return OUTSIDE
    if any(is_hidden(part) for part in name.parts):
        return HIDDEN
    if member.issym() or member.islnk():
        return LINK
    if not member.isreg() or member.issparse():
        return SPECIAL
    if member.size > MAX_MEMBER_BYTES:
        return LARGE
    return TWICE if name in names else None


def _headers(path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the headers of a tar file.

    Raises:
        Exception: it is damaged. tarfile ends without a word at a header that is no header.
    """
    length = path.stat().st_size
    with _BoundedReads(open(path, "rb", buffering=0)) as file, tarfile.TarFile(fileobj=file) as tar:
        position, count = -1, 0
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # it would keep them all
            count += 1
            if count > MAX_MEMBERS:
                raise tarfile.ReadError(f"more than {MAX_MEMBERS:,} files in it are too many")
            if member.offset <= position or member.size < 0 or member.offset_data + member.size > length:
                raise tarfile.ReadError(f"it is damaged or cut off at byte {member.offset:,}")
            position = member.offset
            yield member
        file.seek(tar.offset)
        if any(file.read(tarfile.BLOCKSIZE)):
            raise tarfile.ReadError(f"it is damaged at byte {tar.offset:,}")
