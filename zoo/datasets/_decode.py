"""Decoding many image files once, into a file that is memory-mapped afterwards: as many as the disk holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo.datasets import data_folder
from zoo.errors import first_line
from zoo.schema.base import ImageShape
from zoo.system.files import make_folder, write_atomically, writing
from zoo.system.image_files import to_array

NOT_OPENED = "not opened: "
"""The beginning of a reason when the system refused a file; that may be temporary, so it is not remembered."""

Unreadable = list[tuple[int, str]]
"""The index of each image that could not be read, and the reason."""


def decode_all(
    key: str, count: int, shape: ImageShape, decode: Callable[[int], Image.Image]
) -> tuple[Tensor, Unreadable]:
    """Return the images that could be read, uint8 (N, C, H, W), memory-mapped, and those that could not.

    Args:
        key: the name of the cache; a cache under the same key is used as it is.
        count: the number of images.
        shape: the shape of each decoded image.
        decode: a function that returns the image at an index, in this shape; called from several threads.

    Raises:
        ZooError: the cache cannot be written.
    """
    folder = data_folder() / "decoded"
    pixels, index = folder / f"{key}.uint8", folder / f"{key}.json"
    size = int(np.prod(shape))
    unreadable = read_index(index, pixels, size)
    if unreadable is None:
        make_folder(folder)
        unreadable = write_pixels(pixels, count, shape, decode)
        if not any(why.startswith(NOT_OPENED) for _, why in unreadable):
            write_atomically(index, json.dumps({"images": count - len(unreadable), "unreadable": unreadable}))
    n = pixels.stat().st_size // size
    if not n:
        return torch.empty(0, *shape, dtype=torch.uint8), unreadable
    return torch.from_file(str(pixels), shared=False, size=n * size, dtype=torch.uint8).view(n, *shape), unreadable


def read_index(index: Path, pixels: Path, size: int) -> Unreadable | None:
    """Return the unreadable images that an earlier call has recorded, or None where its files are not complete."""
    try:
        record = json.loads(index.read_text())
        complete = pixels.stat().st_size == record["images"] * size
        return [(i, why) for i, why in record["unreadable"]] if complete else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_pixels(path: Path, count: int, shape: ImageShape, decode: Callable[[int], Image.Image]) -> Unreadable:
    """Decode in several threads and write in order; the file appears when it is complete.

    Returns:
        The images that could not be read.

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
    with writing(path, remedy="set ZOO_DATA to a folder with room") as file, ThreadPoolExecutor() as pool:
        for start in range(0, count, 1024):  # a bounded number at a time, so that memory is bounded, too
            for index, result in enumerate(pool.map(pixels_of, range(start, min(start + 1024, count))), start):
                if isinstance(result, bytes):
                    file.write(result)
                else:
                    unreadable.append((index, result))
    return unreadable
