"""The file of compressed images: four bytes that say so, a header as JSON, the coded blocks, and a sha256 of it all.

Whoever sends a file may have written anything into it, with the right sha256. So every list of the header has a longest
length, and every block of :data:`AT_ONCE` images takes space: a short file cannot claim many.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import FailFast, Field, ValidationError

from zoo.errors import ZooError
from zoo.schema.base import NAME, Positive, Size
from zoo.schema.parsing import explain, parse_json
from zoo.schema.run_config import Strict
from zoo.system.files import read_file, sha256

MAGIC = b"AEZ\x02"
"""The last byte is the version of the format."""

LARGEST_FILE, LARGEST_HEADER = 2**30, 2**20
MOST_IMAGES = 10**7
"""In a file."""

AT_ONCE = 500
"""Images of a block."""

LARGEST_CODE = 2**20
"""Steps from zero: more would mean that the step is far too small."""

DIGEST = 32
"""Bytes of a sha256."""

Steps = Annotated[float, Field(ge=-LARGEST_CODE, le=LARGEST_CODE)]
Spread = Annotated[float, Field(gt=0, le=LARGEST_CODE)]
Tallies = Annotated[list[Annotated[int, Field(ge=0, le=2**40)]], FailFast(), Field(max_length=2**16)]


class Numbers(Strict):
    """Codes that are vectors of numbers, each dimension under a Gaussian of its own; all in steps."""

    kind: Literal["numbers"] = "numbers"
    step: Positive
    means: Annotated[list[Steps], FailFast(), Field(max_length=2**16)]
    deviations: Annotated[list[Spread], FailFast(), Field(max_length=2**16)]
    lowest: int = Field(ge=-LARGEST_CODE, le=LARGEST_CODE)
    highest: int = Field(ge=-LARGEST_CODE, le=LARGEST_CODE)


class Indices(Strict):
    """Codes that are indices in a codebook."""

    kind: Literal["indices"] = "indices"
    grid: tuple[Size, Size]
    counts: Tallies
    """How often each vector is used."""


class Header(Strict):
    """What a file says of itself."""

    entry: str = Field(pattern=NAME)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    image_shape: tuple[Size, Size, Size]
    images: int = Field(gt=0, le=MOST_IMAGES)
    code: Annotated[Numbers | Indices, Field(discriminator="kind")]
    labels: Tallies = []
    """Of a conditional model: how many images have each label."""

    def block_sizes(self) -> Iterator[int]:
        """How many images each block has."""
        for start in range(0, self.images, AT_ONCE):
            yield min(AT_ONCE, self.images - start)


@dataclass(frozen=True)
class CodeFile:
    """What a file holds."""

    header: Header
    blocks: Sequence[NDArray[np.uint32]]
    """Of the range coder."""


def pack(file: CodeFile) -> bytes:
    """The content of the file.

    Raises:
        ZooError: its header is too long.
    """
    text = json.dumps(file.header.model_dump(), separators=(",", ":")).encode()
    if len(text) > LARGEST_HEADER:
        raise ZooError(f"a header of {len(text):,} bytes is too long for a file ({LARGEST_HEADER:,})")
    blocks = [struct.pack("<I", len(words)) + words.astype("<u4").tobytes() for words in file.blocks]
    content = b"".join([MAGIC, struct.pack("<I", len(text)), text, *blocks])
    return content + bytes.fromhex(sha256(content))


def unpack(content: bytes) -> CodeFile:
    """What a file's content holds.

    Raises:
        ZooError: it is something else, of another version, or not whole.
    """
    check_magic(content[:4])
    if len(content) < 8 + DIGEST or bytes.fromhex(sha256(content[:-DIGEST])) != content[-DIGEST:]:
        raise ZooError("the file is damaged or not whole: its sha256 differs")
    length = struct.unpack("<I", content[4:8])[0]
    if length > min(LARGEST_HEADER, len(content) - 8 - DIGEST):
        raise ZooError("the file is damaged: its header does not fit in it")
    fields = parse_json(content[8 : 8 + length].decode("utf-8", errors="replace"), "the file's header")
    try:
        header = Header.model_validate(fields)
    except ValidationError as error:
        raise ZooError("\n".join(f"the file's header: {line}" for line in explain(error, Header))) from error
    blocks, start, end = [], 8 + length, len(content) - DIGEST
    for _ in header.block_sizes():
        size = 4 + 4 * struct.unpack("<I", content[start : start + 4])[0] if start + 4 <= end else 0
        if not size or start + size > end:
            raise ZooError(f"the file is too short for the {header.images:,} images that its header tells of")
        blocks.append(np.frombuffer(content, "<u4", size // 4 - 1, start + 4).astype(np.uint32))
        start += size
    if start != end:
        raise ZooError(f"the file holds more than the {header.images:,} images that its header tells of")
    return CodeFile(header, blocks)


def read(path: Path) -> CodeFile:
    """What a file holds.

    Raises:
        ZooError: there is no such file, or as :func:`unpack`.
    """
    if not path.is_file():
        raise ZooError(f"{path} is no file" if path.exists() else f"there is no file {path}")
    try:
        with path.open("rb") as file:
            check_magic(file.read(4))  # before a large file of another kind is read
        return unpack(read_file(path, LARGEST_FILE))
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror}") from error
    except ZooError as error:
        raise ZooError(f"{path}: {error}") from error


def check_magic(start: bytes) -> None:
    """Raises: ZooError: these four bytes are not those that such a file starts with."""
    if start[:3] != MAGIC[:3]:
        raise ZooError("this is no file of compressed images")
    if start != MAGIC:
        raise ZooError(
            f"the file has version {start[3:].hex() or 'none'} of the format; this zoo reads version {MAGIC[3:].hex()}"
        )
