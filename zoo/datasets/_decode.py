"""Decoding many image files once, into a file that is memory-mapped afterwards: as many as the disk holds."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from zoo.datasets import SET_ZOO_DATA, data_folder, digest_of
from zoo.errors import ZooError
from zoo.schema.base import ImageShape
from zoo.system.files import sha256_of_file, write_atomically, writing
from zoo.system.folders import make_folder
from zoo.system.image_files import reason_of, to_array
from zoo.system.mapped_images import PART_BYTES, map_file
from zoo.system.memory import out_of_memory

NOT_OPENED = "not opened: "
"""The beginning of a reason when the system refused a file; that may be temporary, so it is not remembered."""

KEY = re.compile(r"(folder-[0-9a-f]{32}(-[0-9a-f]{16})?|celeba-(train|test)-\d+)\.(uint8|json)")
"""The names of the files of caches, in this version and earlier ones."""

Unreadable = list[tuple[int, str]]
"""The index of each image that could not be read, and the reason."""


def decoded_folder() -> Path:
    """Return the folder of the caches."""
    return data_folder() / "decoded"


@dataclass(frozen=True)
class DecodedSet:
    """The decoded images of a split that are kept on the disk."""

    source: str
    """The folder and split, or the dataset; the file's name where it is not known."""
    images: int | None
    """The number of images; None where it is not known."""
    files: tuple[Path, ...]
    bytes: int

    def belongs_to(self, source: str) -> bool:
        """Return whether these are images of a folder, or of a dataset of this name."""
        return self.source.rpartition(", ")[0] in (source, os.path.abspath(os.path.expanduser(source)))

    def delete(self) -> None:
        """Delete the files.

        Raises:
            ZooError: a file cannot be deleted.
        """
        for file in self.files:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise ZooError(f"cannot delete {file}: {error.strerror}") from error


def decoded_sets() -> list[DecodedSet]:
    """List what is kept, by source; other files in that folder are not looked at."""
    files: dict[str, list[Path]] = {}
    if decoded_folder().is_dir():
        for path in sorted(decoded_folder().iterdir()):
            if KEY.fullmatch(path.name) and path.is_file():
                files.setdefault(path.stem, []).append(path)
    sets = []
    for key, paths in files.items():
        try:
            record = json.loads((decoded_folder() / f"{key}.json").read_text())
            source, images = str(record["source"]), int(record["images"])
        except (OSError, ValueError, KeyError, TypeError):
            source, images = key, None
        sets.append(DecodedSet(source, images, tuple(paths), sum(path.stat().st_size for path in paths)))
    return sorted(sets, key=lambda one: one.source)


ATTEMPTS = 5
"""The most times that images are decoded, as another process may replace them before they are mapped."""


def decode_all(
    key: str,
    count: int,
    shape: ImageShape,
    decode: Callable[[int], Image.Image],
    *,
    content: str = "",
    source: str = "",
) -> tuple[Tensor, Unreadable]:
    """Return the images that could be read, uint8 (N, C, H, W), memory-mapped, and those that could not.

    Args:
        key: the name of the cache; what it held of another ``content`` is replaced.
        count: the number of images.
        shape: the shape of each decoded image.
        decode: a function that returns the image at an index, in this shape; called from several threads.
        content: a digest of what the images are made of.
        source: the name of the images where caches are listed.

    Raises:
        ZooError: the cache cannot be written.
    """
    for _ in range(ATTEMPTS):
        try:
            return _decoded(key, count, shape, decode, content, source)
        except FileNotFoundError as error:  # another process has just put other images of this name in their place
            lost = error
    raise ZooError(f"cannot keep the images of {source or key} decoded: another process removes them ({lost.filename})")


def _decoded(
    key: str, count: int, shape: ImageShape, decode: Callable[[int], Image.Image], content: str, source: str
) -> tuple[Tensor, Unreadable]:
    folder = decoded_folder()
    stem = f"{key}-{content[:16]}" if content else key  # no name ever stands for two contents
    pixels, index = folder / f"{stem}.uint8", folder / f"{stem}.json"
    unreadable, digest = read_index(index, pixels, shape, content)
    if unreadable is None:
        make_folder(folder, SET_ZOO_DATA)
        unreadable, digest = write_pixels(pixels, count, shape, decode)
        if not any(why.startswith(NOT_OPENED) for _, why in unreadable):
            images = count - len(unreadable)
            record = {"images": images, "unreadable": unreadable, "content": content, "digest": digest}
            record["source"] = source or key
            write_atomically(index, json.dumps(record))
        for older in folder.glob(f"{key}-*"):
            if older not in (pixels, index) and KEY.fullmatch(older.name):
                older.unlink(missing_ok=True)
    if not pixels.stat().st_size:
        return torch.empty(0, *shape, dtype=torch.uint8), unreadable
    try:
        return map_file(pixels, shape, digest), unreadable
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ZooError(f"cannot read {pixels}: {error.strerror}") from error


def read_index(index: Path, pixels: Path, shape: ImageShape, content: str) -> tuple[Unreadable | None, str]:
    """Return the unreadable images that an earlier call has recorded, or None where its files are not whole.

    Returns:
        Also the digest of the images, which the file is read for: it is the check of the file, and what the images are
        known by afterwards.
    """
    try:
        record = json.loads(index.read_text())
        unreadable = [(i, why) for i, why in record["unreadable"]]
        if record["content"] != content or pixels.stat().st_size != record["images"] * prod(shape):
            return None, ""
        digest = digest_of_file(pixels, record["images"], shape)
        if "digest" not in record and sha256_of_file(pixels) == record["sha256"]:  # as earlier versions have checked it
            record["digest"] = digest
            with suppress(ZooError):  # where nothing can be written, it is checked so again
                write_atomically(index, json.dumps(record))
        return (unreadable, digest) if digest == record["digest"] else (None, "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZooError):
        return None, ""


def digest_of_file(pixels: Path, images: int, shape: ImageShape) -> str:
    """Return the digest of the images that a file holds one after another.

    Raises:
        OSError: it cannot be read.
    """
    with open(pixels, "rb", buffering=0) as file:
        read = iter(lambda: file.read(PART_BYTES), b"")
        return digest_of((images, *shape), read)


def write_pixels(
    path: Path, count: int, shape: ImageShape, decode: Callable[[int], Image.Image]
) -> tuple[Unreadable, str]:
    """Decode in several threads and write in order; the file appears when it is complete.

    Returns:
        The images that could not be read, and the digest of the others.

    Raises:
        ZooError: the file cannot be written.
    """

    def pixels_of(index: int) -> bytes | str:
        try:
            return to_array(decode(index), shape).tobytes()
        except Exception as error:  # Pillow raises a dozen kinds for damaged files
            if out_of_memory(error):  # which is no fault of the file
                raise
            refused = isinstance(error, OSError) and error.errno is not None
            return f"{NOT_OPENED if refused else ''}{reason_of(error)}"

    unreadable: Unreadable = []

    def written() -> Iterator[bytes]:
        for start in range(0, count, 1024):  # a bounded number at a time, so that memory is bounded, too
            for index, result in enumerate(pool.map(pixels_of, range(start, min(start + 1024, count))), start):
                if isinstance(result, bytes):
                    file.write(result)
                    yield result
                else:
                    unreadable.append((index, result))

    with writing(path, remedy=SET_ZOO_DATA) as file, ThreadPoolExecutor() as pool:
        digest = digest_of((count, *shape), written())
    if unreadable:  # the digest begins with the number of images
        digest = digest_of_file(path, count - len(unreadable), shape)
    return unreadable, digest
