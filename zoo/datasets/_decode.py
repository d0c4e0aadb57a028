"""Decoding many image files once, into a file that is memory-mapped afterwards: as many as the disk holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo.datasets import data_folder
from zoo.errors import ZooError, first_line
from zoo.schema.base import ImageShape
from zoo.system.files import make_folder, sha256_of_file, write_atomically, writing
from zoo.system.image_files import to_array

NOT_OPENED = "not opened: "
"""The beginning of a reason when the system refused a file; that may be temporary, so it is not remembered."""

Unreadable = list[tuple[int, str]]
"""The index of each image that could not be read, and the reason."""


def decode_all(
    key: str, count: int, shape: ImageShape, decode: Callable[[int], Image.Image], *, content: str = ""
) -> tuple[Tensor, Unreadable]:
    """Return the images that could be read, uint8 (N, C, H, W), memory-mapped, and those that could not.

    Args:
        key: the name of the cache; what it held of another ``content`` is replaced.
        count: the number of images.
        shape: the shape of each decoded image.
        decode: a function that returns the image at an index, in this shape; called from several threads.
        content: a digest of what the images are made of.

    Raises:
        ZooError: the cache cannot be written.
    """
    folder = data_folder() / "decoded"
    pixels, index = folder / f"{key}.uint8", folder / f"{key}.json"
    size = int(np.prod(shape))
    unreadable = read_index(index, pixels, size, content)
    if unreadable is None:
        make_folder(folder)
        unreadable, sha256 = write_pixels(pixels, count, shape, decode)
        if not any(why.startswith(NOT_OPENED) for _, why in unreadable):
            images = count - len(unreadable)
            record = {"images": images, "unreadable": unreadable, "content": content, "sha256": sha256}
            write_atomically(index, json.dumps(record))
    n = pixels.stat().st_size // size
    if not n:
        return torch.empty(0, *shape, dtype=torch.uint8), unreadable
    return torch.from_file(str(pixels), shared=False, size=n * size, dtype=torch.uint8).view(n, *shape), unreadable


def read_index(index: Path, pixels: Path, size: int, content: str) -> Unreadable | None:
    """Return the unreadable images that an earlier call has recorded, or None where its files are not whole."""
    try:
        record = json.loads(index.read_text())
        whole = (
            record["content"] == content
            and pixels.stat().st_size == record["images"] * size
            and sha256_of_file(pixels) == record["sha256"]
        )
        return [(i, why) for i, why in record["unreadable"]] if whole else None
    except (OSError, ValueError, KeyError, TypeError, ZooError):
        return None


def write_pixels(
    path: Path, count: int, shape: ImageShape, decode: Callable[[int], Image.Image]
) -> tuple[Unreadable, str]:
    """Decode in several threads and write in order; the file appears when it is complete.

    Returns:
        The images that could not be read, and the sha256 of the file.

    Raises:
        ZooError: the file cannot be written.
    """

    def pixels_of(index: int) -> bytes | str:
        try:
            return to_array(decode(index), shape).tobytes()
        except Exception as error:  # Pillow raises a dozen kinds for damaged files
            refused = isinstance(error, OSError) and error.errno is not None
            return f"{NOT_OPENED if refused else ''}{first_line(error)}"

    unreadable: Unreadable = []
    digest = hashlib.sha256()
    with writing(path, remedy="set ZOO_DATA to a folder with room") as file, ThreadPoolExecutor() as pool:
        for start in range(0, count, 1024):  # a bounded number at a time, so that memory is bounded, too
            for index, result in enumerate(pool.map(pixels_of, range(start, min(start + 1024, count))), start):
                if isinstance(result, bytes):
                    digest.update(result)
                    file.write(result)
                else:
                    unreadable.append((index, result))
    return unreadable, digest.hexdigest()
