"""The file of compressed images: safetensors, whose header says what the images are and whose tensors are the codes.

======================  =============================================================================================
``words``               uint32, the words of the range coder, block after block
``block_lengths``       uint32, the number of words in each block of :data:`BLOCK_IMAGES` images
metadata ``codes``      JSON with ``format``, ``version``, ``header`` (a :class:`Header` as JSON) and ``sha256``, the
                        digest of header and tensors
======================  =============================================================================================

The same images give the same bytes. Files of version 2, in a container of their own, are still read.

Whoever sends a file may have written anything into it, with the right sha256. So every list of the header has a longest
length, and every block takes space: a short file cannot claim many images.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import FailFast, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from zoo.errors import ZooError, first_line
from zoo.schema.base import NAME, SHA256, Positive, Size
from zoo.schema.parsing import explain, parse_json
from zoo.schema.run_config import Strict
from zoo.system.files import read_file, sha256, user_path
from zoo.tasks import _code_file_v2

FORMAT, VERSION = "autoencoder-zoo codes", "3"

MAX_FILE_BYTES, MAX_HEADER_BYTES = 2**30, 2**21
MAX_IMAGES = 10**7

BLOCK_IMAGES = 500
"""The images in a block."""

MAX_BLOCKS = MAX_IMAGES // BLOCK_IMAGES
"""The most blocks of a file: an empty one takes four bytes in it, and thirty times as many in memory."""

MAX_CODE = 2**20
"""The most steps that a code may lie from zero: more would mean that the step is far too small."""

MAX_SYMBOLS = 2**16
"""The most dimensions, vectors of a codebook, or labels that a header describes."""

Steps = Annotated[float, Field(ge=-MAX_CODE, le=MAX_CODE)]
Spread = Annotated[float, Field(gt=0, le=MAX_CODE)]
Tallies = Annotated[list[Annotated[int, Field(ge=0, le=2**40)]], FailFast(), Field(max_length=MAX_SYMBOLS)]


class Numbers(Strict):
    """Codes that are vectors of numbers, each dimension under a Gaussian of its own; all in steps."""

    kind: Literal["numbers"] = "numbers"
    step: Positive
    means: Annotated[list[Steps], FailFast(), Field(max_length=MAX_SYMBOLS)]
    deviations: Annotated[list[Spread], FailFast(), Field(max_length=MAX_SYMBOLS)]
    lowest: int = Field(ge=-MAX_CODE, le=MAX_CODE)
    highest: int = Field(ge=-MAX_CODE, le=MAX_CODE)


class Indices(Strict):
    """Codes that are indices in a codebook."""

    kind: Literal["indices"] = "indices"
    grid: tuple[Size, Size]
    counts: Tallies
    """The number of times that each vector is used."""


class Header(Strict):
    """What a file says about its content."""

    entry: str = Field(pattern=NAME)
    weights_sha256: str = Field(pattern=SHA256)
    image_shape: tuple[Size, Size, Size]
    images: int = Field(gt=0, le=MAX_IMAGES)
    code: Annotated[Numbers | Indices, Field(discriminator="kind")]
    labels: Tallies = []
    """The number of images with each label, for a conditional model."""

    def block_sizes(self) -> Iterator[int]:
        """Yield the number of images in each block."""
        for start in range(0, self.images, BLOCK_IMAGES):
            yield min(BLOCK_IMAGES, self.images - start)


@dataclass(frozen=True)
class CodeFile:
    """A file of compressed images, read whole."""

    header: Header
    blocks: Sequence[NDArray[np.uint32]]
    """The words of the range coder, for each block."""


def pack(file: CodeFile) -> bytes:
    """Return the content of a file.

    Raises:
        ZooError: its header is too long.
    """
    header = json.dumps(file.header.model_dump(), separators=(",", ":"))
    if len(header) > MAX_HEADER_BYTES // 2:  # it is escaped, as a string within the JSON of safetensors
        raise ZooError(f"a header of {len(header):,} bytes is too long for a file ({MAX_HEADER_BYTES // 2:,})")
    arrays = {
        "words": np.concatenate(file.blocks).astype(np.uint32),
        "block_lengths": np.array([len(words) for words in file.blocks], dtype=np.uint32),
    }
    about = {"format": FORMAT, "version": VERSION, "header": header, "sha256": _digest(header, arrays)}
    return save_arrays(arrays, metadata={"codes": json.dumps(about, sort_keys=True)})  # one key: several have no order


def unpack(content: bytes) -> CodeFile:
    """Return what a file's content holds.

    Raises:
        ZooError: it is something else, of another version, or not whole.
    """
    if not isinstance(content, bytes | bytearray | memoryview):
        raise ZooError(f"unpack takes the bytes of a file of codes; got {type(content).__name__}")
    content = bytes(content)
    check_start(content[:9])
    if content.startswith(_code_file_v2.MAGIC):
        text, blocks = _code_file_v2.split(content, MAX_HEADER_BYTES, MAX_BLOCKS)
    else:
        text, blocks = _split(content)
    fields = parse_json(text.decode("utf-8", errors="replace"), "the file's header")
    try:
        header = Header.model_validate(fields)
    except ValidationError as error:
        raise ZooError("\n".join(f"the file's header: {line}" for line in explain(error, Header))) from error
    expected = -(-header.images // BLOCK_IMAGES)
    if len(blocks) < expected:
        raise ZooError(f"the file is too short for the {header.images:,} images that its header states")
    if len(blocks) > expected:
        raise ZooError(f"the file holds more than the {header.images:,} images that its header states")
    return CodeFile(header, blocks)


def _split(content: bytes) -> tuple[bytes, list[NDArray[np.uint32]]]:
    """Return the header's JSON and the blocks of a safetensors file."""
    end = 8 + int.from_bytes(content[:8], "little")
    if end > len(content):
        raise ZooError("the file is damaged or not whole: its header does not fit in it")
    start: Any = parse_json(content[8:end].decode("utf-8", errors="replace"), "the file's start")
    metadata = start.get("__metadata__")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("codes"), str):
        raise ZooError("this is not a file of compressed images")
    about = parse_json(metadata["codes"], "the file's start")
    if about.get("format") != FORMAT:
        raise ZooError("this is not a file of compressed images")
    if about.get("version") != VERSION:
        raise _other_version(str(about.get("version")))
    try:
        arrays = load_arrays(content)
        header, words, lengths = str(about["header"]), arrays["words"], arrays["block_lengths"]
        whole = about["sha256"] == _digest(header, arrays)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ZooError(f"the file is damaged or not whole ({first_line(error)})") from error
    if not whole:
        raise ZooError("the file is damaged or not whole: its sha256 differs")
    if {words.dtype, lengths.dtype} != {np.dtype(np.uint32)} or words.ndim != 1 or lengths.ndim != 1:
        raise ZooError("the file does not hold codes: a tensor has the wrong type or shape")
    if len(lengths) > MAX_BLOCKS:
        raise ZooError(f"the file has {len(lengths):,} blocks, more than {MAX_IMAGES:,} images need")
    if int(lengths.sum(dtype=np.uint64)) != len(words):
        raise ZooError("the file does not hold codes: its blocks do not add up to its words")
    blocks = np.split(words, np.cumsum(lengths, dtype=np.int64)[:-1]) if len(lengths) else []
    return header.encode(), blocks


def _digest(header: str, arrays: dict[str, NDArray[Any]]) -> str:
    parts = [header.encode(), *(arrays[name].tobytes() for name in ("words", "block_lengths"))]
    return sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts))


def read(path: str | os.PathLike[str]) -> CodeFile:
    """Read a file.

    Raises:
        ZooError: there is no such file, or as :func:`unpack`.
    """
    path = user_path(path)
    if not path.is_file():
        raise ZooError(f"{path} is not a file" if path.exists() else f"there is no file {path}")
    try:
        with path.open("rb") as file:
            check_start(file.read(9))  # before a large file of another kind is read
        return unpack(read_file(path, MAX_FILE_BYTES))
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror}") from error
    except ZooError as error:
        raise ZooError(f"{path}: {error}") from error


def check_start(start: bytes) -> None:
    """Refuse a file whose first nine bytes are not those of a file of compressed images.

    Raises:
        ZooError: it is something else, or of another version.
    """
    old = _code_file_v2.MAGIC
    if start[:3] == old[:3] and start[:4] != old:
        raise _other_version(str(int.from_bytes(start[3:4], "little")))
    safetensors = start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= MAX_HEADER_BYTES
    if not safetensors and start[:4] != old:
        raise ZooError("this is not a file of compressed images")


def _other_version(version: str) -> ZooError:
    return ZooError(f"the file has version {version} of the format; this zoo reads versions 2 and {VERSION}")
