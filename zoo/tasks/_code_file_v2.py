"""Reading files of compressed images of the format's second version, which had a container of its own.

Four bytes, the length of the header, the header as JSON, blocks that begin with their length, and a sha256 of it all.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from zoo.errors import ZooError
from zoo.system.files import sha256

MAGIC = b"AEZ\x02"
DIGEST_BYTES = 32


def split(content: bytes, max_header_bytes: int, max_blocks: int) -> tuple[bytes, list[NDArray[np.uint32]]]:
    """Return the header's JSON and the blocks of a file that begins with :data:`MAGIC`.

    Raises:
        ZooError: the file is not whole, or its parts do not fit in it.
    """
    if len(content) < 8 + DIGEST_BYTES or bytes.fromhex(sha256(content[:-DIGEST_BYTES])) != content[-DIGEST_BYTES:]:
        raise ZooError("the file is damaged or not whole: its sha256 differs")
    length, end = struct.unpack("<I", content[4:8])[0], len(content) - DIGEST_BYTES
    if length > min(max_header_bytes, end - 8):
        raise ZooError("the file is damaged: its header does not fit in it")
    blocks: list[NDArray[np.uint32]] = []
    start = 8 + length
    while start < end:
        size = 4 + 4 * struct.unpack("<I", content[start : start + 4])[0] if start + 4 <= end else 0
        if len(blocks) == max_blocks:
            raise ZooError(f"the file has more than {max_blocks:,} blocks, which is the most")
        if not size or start + size > end:
            raise ZooError("the file is damaged: a block does not fit in it")
        blocks.append(np.frombuffer(content, "<u4", size // 4 - 1, start + 4).astype(np.uint32))
        start += size
    return content[8 : 8 + length], blocks
