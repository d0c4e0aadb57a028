"""Images as uint8 tensors: the container, loading and binarising a split, and code that all datasets share."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.datasets._returned import checked
from zoo.errors import NotApplicable, ZooError, first_line
from zoo.registry import DATASETS
from zoo.schema.base import DatasetConfig, Split
from zoo.system.files import user_path
from zoo.system.folders import make_folder
from zoo.system.mapped_images import MappedImages, chosen, in_unnamed_file, parts, stay_in_file
from zoo.system.process import cpu_by_default
from zoo.system.randomness import bernoulli, own_randomness

DISPLAY_SEED = 0
"""The seed for binarising images that are only displayed, so that a figure always shows the same pixels."""

BINARIZATION_SEEDS: dict[Split, int] = {"train": 0, "test": 1}
"""The seeds for binarising each split once and for all."""


@dataclass(frozen=True)
class ImageSet:
    """One split of a dataset, in memory or in a file."""

    images: Tensor
    """The images, uint8 (N, C, H, W); perhaps :class:`~zoo.system.mapped_images.MappedImages`."""
    labels: Tensor | None = None
    """The labels, int64 (N,), or None where there are none."""
    factors: dict[str, Tensor] = field(default_factory=dict)
    """The generating factors (N,) by name, where they are known."""
    groups: Tensor | None = None
    """The group (N,) of each image, int64, where images belong together, as those of a patient or of a file do."""
    notes: tuple[str, ...] = ()
    """Lines for people about what the images were made of, and what was left out."""

    def __len__(self) -> int:
        return len(self.images)

    def first(self, n: int | None) -> ImageSet:
        """Return the first ``n`` images with labels and factors; None for all."""
        if n is None:
            return self
        labels, groups = (None if part is None else part[:n] for part in (self.labels, self.groups))
        factors = {name: factor[:n] for name, factor in self.factors.items()}
        return replace(self, images=self.images[:n], labels=labels, groups=groups, factors=factors)

    def chosen(self, indices: Tensor) -> ImageSet:
        """Return the images at these indices, int64 (M,), with labels and groups, without factors."""
        labels, groups = (None if part is None else part[indices] for part in (self.labels, self.groups))
        return ImageSet(chosen(self.images, indices), labels, groups=groups, notes=self.notes)

    def to(self, device: torch.device) -> ImageSet:
        """Return the set with images and labels on a device."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, images=self.images.to(device), labels=labels)

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[ImageSet]:
        """Yield ``size`` images at a time with labels, without factors; the last batch may be smaller.

        Args:
            size: the number of images in a batch.
            order: the indices of the images, int64, in the order wanted; None for theirs.
        """
        for start in range(0, len(self) if order is None else len(order), size):
            part = slice(start, start + size) if order is None else order[start : start + size]
            yield ImageSet(self.images[part], None if self.labels is None else self.labels[part])

    @cached_property
    def digest(self) -> str:
        """The sha256 of the images' shape and bytes, which identifies the images that a model was trained on."""
        known = self.images.digest if isinstance(self.images, MappedImages) else None
        pixels = (self.images[rows].contiguous().numpy().data for rows in parts(self.images))
        return known or digest_of(self.images.shape, pixels)


def digest_of(shape: Sequence[int], images: Iterable[bytes | memoryview]) -> str:
    """Return the sha256 of the bytes of images of a shape (N, C, H, W), some at a time."""
    digest = hashlib.sha256(str(tuple(shape)).encode())
    for part in images:
        digest.update(part)
    return digest.hexdigest()


def data_folder() -> Path:
    """Return the folder of datasets, downloads and caches: ``$ZOO_DATA``, else one in the user's cache folder.

    Raises:
        ZooError: there is no such home folder.
        NotApplicable: there is no home folder for a default, as in a container; names ``ZOO_DATA``.
    """
    chosen = os.environ.get("ZOO_DATA")
    try:
        return user_path(chosen or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "autoencoder-zoo"))
    except ZooError as error:
        if chosen:
            raise ZooError(f"ZOO_DATA={error}") from error
        raise NotApplicable(
            "there is no home folder to keep datasets and caches in; set ZOO_DATA to a folder for them, as in "
            "ZOO_DATA=/tmp/zoo"
        ) from error


_DOWNLOADS: ContextVar[bool] = ContextVar("downloads", default=True)


@contextmanager
def without_downloads() -> Iterator[None]:
    """Enter a context in which a dataset that is not on this machine is an error, and not downloaded."""
    before = _DOWNLOADS.set(False)
    try:
        yield
    finally:
        _DOWNLOADS.reset(before)


def check_may_download(name: str) -> None:
    """Refuse to download a dataset in the context of :func:`without_downloads`.

    Raises:
        NotApplicable: nothing is to be downloaded.
    """
    if not _DOWNLOADS.get():
        raise NotApplicable(
            f"the dataset {name!r} is not under {data_folder()}, and nothing is downloaded without being asked for; "
            f"`zoo evaluate` and `zoo figures` download it"
        )


SET_ZOO_DATA = "set ZOO_DATA to a folder that can be written and has room"
"""The remedy where something cannot be written in the data folder."""


@cpu_by_default()
def load_images(config: DatasetConfig, split: Split) -> ImageSet:
    """Return the images of one split as the recipe's data section describes them.

    Raises:
        ZooError: the dataset is not available, or its files are damaged; the message names the remedies. Or its loader
            returns something else than its settings declare.
    """
    images: ImageSet = checked(DATASETS.get(config.name).build(config, split), config, split, ImageSet)
    if config.only_classes is not None:
        images = images.chosen(where_labelled(images, config.only_classes))
    if config.binarization == "fixed":
        images = replace(images, images=binarized(images.images, BINARIZATION_SEEDS[split]))
    limit = config.train_images if split == "train" else config.test_images
    used = images.first(limit)
    if limit is not None and images.labels is not None and used.labels is not None:
        there, left = len(images.labels.unique()), len(used.labels.unique())
        if left < there and bool((images.labels.diff() >= 0).all()):
            warnings.warn(
                f"the first {len(used):,} {split} images (data.{split}_images) are of {left:,} of the {there:,} "
                f"classes only: they are sorted by class",
                stacklevel=3,
            )
    return used


def where_labelled(images: ImageSet, classes: tuple[int, ...]) -> Tensor:
    """Return the indices of the images with these labels, int64 (M,).

    Raises:
        ZooError: no image has one of these labels, or the images have no labels.
    """
    if images.labels is None:
        raise ZooError("its images have no labels to choose by")
    indices = torch.isin(images.labels, torch.tensor(classes)).nonzero().flatten()
    if not len(indices):
        known = ", ".join(map(str, images.labels.unique().tolist()))
        raise ZooError(f"no image has one of the labels {list(classes)}; there are {known}")
    return indices


def binarized(images: Tensor, seed: int) -> Tensor:
    """Return uint8 images as 0 or 255, each pixel drawn with its intensity as the probability; equal at every call.

    Those of images in a file that take more than half the free memory are in a file, too, which goes with them.

    Raises:
        ZooError: the file cannot be written.
    """
    random = np.random.RandomState(seed)  # its stream never changes with NumPy's version
    pixels = (images[rows].numpy() for rows in parts(images))
    drawn = ((random.random_sample(part.shape) < part / 255).astype(np.uint8) * np.uint8(255) for part in pixels)
    if not stay_in_file(images):
        return torch.cat(list(map(torch.from_numpy, drawn)))
    folder = data_folder()
    make_folder(folder, SET_ZOO_DATA)
    try:
        return in_unnamed_file(drawn, folder, images.shape[1:])
    except OSError as error:
        raise ZooError(f"cannot write binarised images to {folder}: {error.strerror}; {SET_ZOO_DATA}") from error


def as_float(images: Tensor, config: DatasetConfig, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Convert uint8 images to float32 in [0, 1]; ``dynamic`` binarisation draws anew at every call.

    Args:
        images: the images (B, C, H, W).
        config: the data section.
        change: a function that changes the images in [0, 1] before they are binarised.
    """
    x = images.to(torch.float32, copy=True).div_(255)  # a copy: the images stay as they are
    x = change(x) if change else x
    return bernoulli(x) if config.binarization == "dynamic" else x


def display_images(images: Tensor, config: DatasetConfig, seed: int = DISPLAY_SEED) -> Tensor:
    """Convert uint8 images like :func:`as_float`, with the same binarisation at every call."""
    with own_randomness(seed, images.device):
        return as_float(images, config)


def from_torchvision(name: str, dataset: str, **options: Any) -> Any:
    """Open a torchvision dataset from the files under the data folder, downloaded where they are missing.

    Args:
        name: the dataset's name in messages.
        dataset: the name of the class in ``torchvision.datasets``.
        options: arguments of the class besides ``root`` and ``download``.

    Raises:
        ZooError: there are no files and no network, or the files are damaged.
    """
    import torchvision.datasets  # here, because importing it takes longer than loading a model

    root = data_folder()
    open_dataset = getattr(torchvision.datasets, dataset)
    try:
        return open_dataset(root, download=False, **options)
    except Exception as error:
        if "not found" not in str(error):  # torchvision's words for missing files
            raise damaged(name, error) from error
    check_may_download(name)
    try:
        return open_dataset(root, download=True, **options)
    except Exception as error:
        raise unavailable(name, error) from error


def unavailable(name: str, error: object) -> ZooError:
    """Return the error for files that are missing and could not be downloaded."""
    return ZooError(
        f"the dataset {name!r} is missing or incomplete under {data_folder()} and could not be downloaded "
        f"({first_line(error)}). Either\n"
        f"  connect to the network and run again,\n"
        f"  or set ZOO_DATA to a folder that holds it as torchvision lays it out,\n"
        f"  or use the embedded images instead: glyphs (in a recipe: --set data.name=glyphs)"
    )


def damaged(name: str, error: object) -> ZooError:
    """Return the error for files that exist but have the wrong content."""
    return ZooError(
        f"the files of the dataset {name!r} under {data_folder()} are damaged ({first_line(error)}); "
        f"delete them and run again to download them anew"
    )
