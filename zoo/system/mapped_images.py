"""Images in a file that may be larger than memory: a tensor whose pixels stay on the disk until they are used."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_map_only

from zoo.system.memory import free_memory

PART_BYTES = 2**24
"""The bytes of images that are read at once where a whole set is gone through."""

READ_ONLY = "images in a file cannot be written to; change a copy: images.clone()"

MAP_NORESERVE = 0x4000
"""Linux's flag for a mapping that may be larger than the machine's memory."""


@dataclass(frozen=True)
class MappedFile:
    """A file of images, one after another."""

    handle: IO[bytes]
    images: NDArray[np.uint8]
    """All of them, (N, C, H, W); whatever is written to them stays in this process."""

    def __post_init__(self) -> None:
        weakref.finalize(self, self.handle.close)  # else Python warns of a file that nobody has closed

    def announce(self, numbers: NDArray[np.int64]) -> None:
        """Tell the system which images are read next, all at once: else each page is waited for, one after another."""
        if not hasattr(os, "posix_fadvise"):
            return
        size = self.images[0].nbytes
        starts = np.flatnonzero(np.diff(numbers, prepend=-2) != 1)
        counts = np.diff(starts, append=len(numbers))
        for first, count in zip(numbers[starts].tolist(), counts.tolist(), strict=True):
            os.posix_fadvise(self.handle.fileno(), first * size, count * size, os.POSIX_FADV_WILLNEED)

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return a copy of the images of these numbers, (M, C, H, W)."""
        self.announce(numbers)
        return np.take(self.images, numbers, axis=0)  # in one thread, and without the interpreter's lock


class MappedImages(Tensor):
    """Images, uint8 (N, C, H, W), that lie in a file: all of them, or some in any order.

    Indexing, and everything that computes, gives plain tensors of the pixels that it needs. A slice, a split and
    :func:`chosen` stay in the file, whatever their size. They cannot be written to.

    Args:
        file: the file.
        numbers: the numbers of the images in the file, int64 (N,); None for all.
        digest: the sha256 of the images, where it is known; see :attr:`zoo.datasets.ImageSet.digest`.
    """

    file: MappedFile
    numbers: Tensor
    digest: str | None

    @staticmethod
    def __new__(
        cls: type[MappedImages], file: MappedFile, numbers: Tensor | None = None, digest: str | None = None
    ) -> MappedImages:
        numbers = torch.arange(len(file.images)) if numbers is None else numbers
        shape = (len(numbers), *file.images.shape[1:])
        images: MappedImages = Tensor._make_wrapper_subclass(cls, shape, dtype=torch.uint8)
        images.file, images.numbers, images.digest = file, numbers, digest
        return images

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[Any, Any] | None = None
    ) -> Any:
        """Keep slices in the file, read what is indexed, and give any other function the pixels."""
        images, aten = args[0], torch.ops.aten
        if isinstance(images, cls):
            along_images = len(args) < 2 or args[1] == 0
            if func is aten.slice.Tensor and along_images:
                return images.part(slice(*args[2:]))
            if func is aten.split.Tensor and len(args) < 3:
                return [images.part(slice(start, start + args[1])) for start in range(0, len(images), args[1])]
            if func is aten.select.int and along_images:
                return images.at(images.numbers[args[2]])
            if func is aten.index.Tensor and len(args[1]) == 1:
                return images.at(images.numbers[args[1][0].cpu()])
            if func._schema.is_mutable:
                raise RuntimeError(READ_ONLY)
        args, kwargs = tree_map_only(cls, lambda part: part.plain(), (args, kwargs or {}))
        return func(*args, **kwargs)

    def part(self, rows: slice) -> MappedImages:
        """Return a slice of the images, which stays in the file."""
        numbers = self.numbers[rows]
        return MappedImages(self.file, numbers, self.digest if len(numbers) == len(self) else None)

    def at(self, numbers: Tensor) -> Tensor:
        """Return the images of these numbers in the file, int64 of any shape, as a tensor (..., C, H, W) in memory."""
        pixels = torch.from_numpy(self.file.read(numbers.flatten().numpy()))
        return pixels.view(*numbers.shape, *self.shape[1:])

    def plain(self) -> Tensor:
        """Return the images as a plain tensor: the file itself where they lie side by side, else a copy in memory."""
        n, numbers = len(self), self.numbers
        if self.nbytes <= PART_BYTES:
            self.file.announce(numbers.numpy())
        if n and bool((numbers.diff() == 1).all()):
            return torch.from_numpy(self.file.images[int(numbers[0]) : int(numbers[0]) + n])
        images = torch.empty(self.shape, dtype=torch.uint8)
        for rows in parts(self):
            images[rows] = self.at(numbers[rows])
        return images

    def numpy(self, *, force: bool = False) -> Any:
        """Return the images as an array, as :meth:`plain` does."""
        return self.plain().numpy()

    def tolist(self) -> Any:
        """Return the images as lists."""
        return self.plain().tolist()

    def __setitem__(self, *_: Any) -> None:
        raise RuntimeError(READ_ONLY)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"{type(self).__name__}({self.file.handle.name!r}, {tuple(self.shape)})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.plain().clone().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: Any) -> MappedImages:
        return self


def chosen(images: Tensor, rows: Tensor) -> Tensor:
    """Return the images at some indices, or where a mask is true; those of a file stay there."""
    return MappedImages(images.file, images.numbers[rows]) if isinstance(images, MappedImages) else images[rows]


def plain(images: Tensor) -> Tensor:
    """Return images as a plain tensor, which is one in memory unless they are the whole of a file."""
    return images.plain() if isinstance(images, MappedImages) else images


def stay_in_file(images: Tensor) -> bool:
    """Return whether images lie in a file and take more than half the free memory."""
    if not isinstance(images, MappedImages):
        return False
    free = free_memory()
    return free is not None and images.nbytes > free // 2


def parts(images: Tensor) -> list[slice]:
    """Return slices of images, (N, C, H, W), that have a bounded number of bytes."""
    size = max(1, PART_BYTES // max(1, images[:1].nbytes))
    return [slice(start, start + size) for start in range(0, len(images), size)]


def map_file(path: Path, shape: Sequence[int], digest: str | None = None) -> MappedImages:
    """Return the images in a file that holds one after another.

    Args:
        path: the file, which holds at least one.
        shape: the shape of each, (C, H, W).
        digest: the sha256 of the images, where it is known.

    Raises:
        OSError: the file cannot be read, or not be mapped.
    """
    return _mapped(open(path, "rb"), shape, digest)  # noqa: SIM115 - open as long as its images are there


def in_unnamed_file(images: Iterable[NDArray[np.uint8]], folder: Path, shape: Sequence[int]) -> MappedImages:
    """Return images that are written to a file without a name, which is gone when they are.

    Args:
        images: the images, some at a time.
        folder: the folder of the file.
        shape: the shape of each, (C, H, W).

    Raises:
        OSError: the file cannot be written, or not be mapped.
    """
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as its images are there
    for part in images:
        file.write(part.tobytes())
    file.flush()
    return _mapped(file, shape, None)


def _mapped(file: IO[bytes], shape: Sequence[int], digest: str | None) -> MappedImages:
    if sys.platform == "linux":
        flags = mmap.MAP_PRIVATE | MAP_NORESERVE
        pixels = mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    else:
        pixels = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    if hasattr(mmap, "MADV_RANDOM"):  # else what lies around a page comes with it: as much as 8 MiB for 12 KiB
        pixels.madvise(mmap.MADV_RANDOM)
    return MappedImages(MappedFile(file, np.frombuffer(pixels, np.uint8).reshape(-1, *shape)), digest=digest)
