"""Decoding many pictures once, into a file that is memory-mapped afterwards: as many as the disk holds."""

from __future__ import annotations

import json
import os
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
from zoo.system.files import make_folder, write_atomically

TRANSIENT = "not opened: "
"""Starts the reason where the system refused a file; that may be put right, so it is not remembered."""

Unreadable = list[tuple[int, str]]
"""Index of a picture and why it could not be read."""


def decode_all(
    key: str, count: int, shape: ImageShape, decode: Callable[[int], Image.Image]
) -> tuple[Tensor, Unreadable]:
    """uint8 (N, C, H, W), memory-mapped, of the pictures that could be read, and those that could not.

    Args:
        key: names the cache; a cache under the same key is used as it is.
        count: how many pictures there are.
        shape: of each, once decoded.
        decode: index → picture in the right size and mode; called from several threads.

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
        if not any(why.startswith(TRANSIENT) for _, why in unreadable):
            write_atomically(index, json.dumps({"images": count - len(unreadable), "unreadable": unreadable}))
    n = pixels.stat().st_size // size
    if not n:
        return torch.empty(0, *shape, dtype=torch.uint8), unreadable
    return torch.from_file(str(pixels), shared=False, size=n * size, dtype=torch.uint8).view(n, *shape), unreadable


def read_index(index: Path, pixels: Path, size: int) -> Unreadable | None:
    """What an earlier call has noted, or None where its files are not whole."""
    try:
        noted = json.loads(index.read_text())
        whole = pixels.stat().st_size == noted["images"] * size
        return [(i, why) for i, why in noted["unreadable"]] if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_pixels(path: Path, count: int, shape: ImageShape, decode: Callable[[int], Image.Image]) -> Unreadable:
    """Decode with a few threads, write in order; only a whole file gets its name."""

    def pixels_of(index: int) -> bytes | str:
        try:
            array = np.asarray(decode(index), dtype=np.uint8).reshape(shape[1], shape[2], shape[0])
            return array.transpose(2, 0, 1).tobytes()
        except Exception as error:  # Pillow raises a dozen kinds for damaged pictures
            system = isinstance(error, OSError) and error.errno is not None
            return f"{TRANSIENT if system else ''}{first_line(error)}"

    unreadable: Unreadable = []
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file, ThreadPoolExecutor() as pool:
            for start in range(0, count, 1024):  # bounded, so that memory is too
                for index, result in enumerate(pool.map(pixels_of, range(start, min(start + 1024, count))), start):
                    if isinstance(result, bytes):
                        file.write(result)
                    else:
                        unreadable.append((index, result))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror}; set ZOO_DATA to a folder with room") from error
    finally:
        temporary.unlink(missing_ok=True)
    return unreadable
