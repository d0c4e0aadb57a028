"""A folder of the user's own image files, of any size, made one shape, grey or colour.

Folders named train, test and val say on which side images are; without them, a share is held out by a digest of the
paths. Everything that is left out is reported.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor

from zoo.datasets import ImageSet, Split
from zoo.datasets._decode import decode_all
from zoo.datasets._folder_split import FolderSplit, describe, split_images
from zoo.errors import ZooError
from zoo.registry import register_dataset
from zoo.schema.base import DatasetConfig, ImageShape
from zoo.schema.parsing import validate
from zoo.system.files import user_path
from zoo.system.image_files import (
    ImageFiles,
    Pages,
    Presentation,
    images_under,
    listed,
    printable,
    read_image,
    warn_skipped,
)
from zoo.system.image_scan import Scan, scan

Side = Annotated[int, Field(ge=8, le=4096)]

LEAST_CONTRAST = 24
"""Images whose values differ by less, of 255, are reported: 12 bits taken for 16 become 15 shades."""

SHADES_OF = 1000
"""The number of images, evenly spaced, that are looked at for it."""


class ImageFolderConfig(DatasetConfig):
    """A folder of your own images, resized."""

    name: Literal["image_folder"] = "image_folder"
    PRIVATE: ClassVar[bool] = True

    path: str = Field(description="The folder; its subfolders are searched as well, links are followed.")
    size: Side = Field(64, description="Pixels of a side: the central square is cut out and resized.")
    channels: Literal[1, 3] = Field(3, description="1 for grey, 3 for RGB.")
    pages: Pages = Field(
        "first", description="The pages or frames that are used of a file with several; they stay on one side."
    )
    range: tuple[float, float] | None = Field(
        None,
        description="The values of more than 8 bits that become black and white; `null`: taken from the images, and "
        "written into the recipe that is stored with the weights.",
    )
    holdout: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="The share of the images, or of their groups, that is held out for testing, by their paths."
    )
    group: Annotated[str, Field(min_length=1, max_length=200)] | Annotated[int, Field(ge=1, le=100)] | None = Field(
        None,
        description="The folders whose images stay on one side, as those of a patient must: a pattern of their names "
        "(`case_*`), or their level (1: those directly in `path`).",
    )
    test_list: str | None = Field(
        None, description="A text file that names the images or folders to hold out, one path below `path` a line."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError("range: the second number must be larger than the first")
        if self.group is not None and self.test_list is not None:
            raise ValueError("group and test_list exclude each other: the list decides")
        return self

    @property
    def image_shape(self) -> ImageShape:
        """The shape of every image, (channels, size, size)."""
        return (self.channels, self.size, self.size)

    @property
    def presentation(self) -> Presentation:
        """The way from files to images of this shape."""
        return Presentation(self.image_shape, "crop", self.pages, self.range)

    @property
    def presented(self) -> str:
        """The words for the range of values, where it is not that of 8 bits."""
        return f", whose values from {self.range[0]:g} to {self.range[1]:g} are black to white" if self.range else ""

    @property
    def root(self) -> Path:
        """The folder."""
        return user_path(self.path)

    def resolved(self) -> Self:
        """Return these settings with the range that the images have, where it is not set.

        Raises:
            ZooError: there is no such folder, or no image file in it.
        """
        return self if self.range else self.model_copy(update={"range": Contents(self).scan.range})


def folder_for(path: str, shape: ImageShape, trained: DatasetConfig) -> DatasetConfig:
    """Return the settings of a folder whose images are presented as those that a model was trained on.

    Args:
        path: the folder.
        shape: the shape (C, H, W) of the model's images.
        trained: the data section of the model's recipe.

    Raises:
        ZooError: image files cannot have this shape.
    """
    if isinstance(trained, ImageFolderConfig):
        return trained.model_copy(update={"path": path, "train_images": None, "test_images": None, "test_list": None})
    fields = {"name": "image_folder", "path": path, "channels": shape[0], "size": shape[1]}
    config: DatasetConfig = validate(ImageFolderConfig, {**fields, "binarization": trained.binarization}, path)
    return config


class Contents:
    """What is in a folder: its image files, their headers, and their sides."""

    def __init__(self, config: ImageFolderConfig) -> None:
        self.files: ImageFiles = images_under(config.root)
        self.signature = signature(self.files)
        self.scan: Scan = _scan(self.signature, tuple(self.files.paths), config.pages, config.range)
        self.split: FolderSplit = split_images(
            config.root, self.files.paths, holdout=config.holdout, group=config.group, test_list=config.test_list
        )

        images = self.scan.images(self.files.paths, config.pages)
        sides: dict[Split, set[Path]] = {side: set(paths) for side, paths in self.split.sides.items()}
        self.images = {side: [(path, page) for path, page in images if path in paths] for side, paths in sides.items()}
        """The images of each side: a file and a page of it."""


def signature(files: ImageFiles) -> str:
    """Return a digest of the names, sizes and times of image files: another one when any of them changes."""
    digest = hashlib.sha256()
    for path in files.paths:
        status = path.stat()
        name = path.relative_to(files.root).as_posix().encode("utf-8", "surrogateescape")
        digest.update(b"%b\0%d\0%d\0" % (name, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()


@lru_cache(maxsize=8)
def _scan(signature: str, paths: tuple[Path, ...], pages: Pages, value_range: tuple[float, float] | None) -> Scan:
    """Scan a folder once for both of its splits."""
    return scan(paths, pages, value_range)


@register_dataset(config=ImageFolderConfig)
def image_folder(config: ImageFolderConfig, split: Split) -> ImageSet:
    """Load the images of a split, decoded once into a memory-mapped file.

    Raises:
        ZooError: there is no such folder, no image file in it for this split, or none that can be read.
    """
    there, root = Contents(config), config.root
    there.files.warn()
    there.scan.warn(str(root), config.pages)
    for reason, paths in there.split.left_out.items():
        warnings.warn(f"{root}: left out {listed(paths, root)}: {reason}", stacklevel=2)
    pages = there.images[split]
    if not pages:
        raise ZooError(
            f"data.path: {len(there.files.paths)} image(s) under {root}, but none for the {split} split; "
            f"add images, or sort them into {root}/train and {root}/test"
        )
    presentation = replace(config.presentation, range=there.scan.range)

    def decode(index: int) -> Image.Image:
        path, page = pages[index]
        return read_image(path, presentation, page)

    place = hashlib.sha256(f"{os.path.abspath(root)}\0{split}".encode("utf-8", "surrogateescape"))
    content = hashlib.sha256(f"{there.signature} {presentation}".encode())
    for path, page in pages:
        content.update(f"{path.relative_to(root).as_posix()}\0{page}\0".encode("utf-8", "surrogateescape"))
    key = f"folder-{place.hexdigest()[:32]}"
    images, unreadable = decode_all(key, len(pages), config.image_shape, decode, content=content.hexdigest())
    if unreadable:
        lines = [f"{printable(pages[index][0])}: {why}" for index, why in unreadable]
        warn_skipped(lines, len(pages), f"{split} images")
    if not len(images):
        raise ZooError(f"none of the {len(pages)} {split} images under {root} can be read")
    warn_if_one_shade(images, f"{split} images under {root}", there.scan)
    return ImageSet(images, notes=(*notes(there, root), f"{split}: {len(images):,} images{skipped(len(unreadable))}"))


def notes(there: Contents, root: Path) -> list[str]:
    """Say how many image files there are, on what they were divided, and what was left out."""
    left_out = [f"left out {listed(paths, root)}: {reason}" for reason, paths in there.files.left_out.items()]
    found = f"{len(there.files.paths):,} image files"
    lines = [found, *describe(there.split, root), *left_out, *there.scan.describe()]
    return [f"{root}: {line}" for line in lines]


def skipped(count: int) -> str:
    """Say how many images cannot be read, if any."""
    return f" ({count:,} more cannot be read)" if count else ""


def warn_if_one_shade(images: Tensor, what: str, found: Scan) -> None:
    """Warn of images that have next to no contrast, as those have whose values were scaled wrongly."""
    some = images[:: -(-len(images) // SHADES_OF)]
    low, high = (int(value) for value in some.aminmax())
    if high - low < LEAST_CONTRAST:
        values = f" (in the files from {found.found[0]:g} to {found.found[1]:g})" if found.found else ""
        warnings.warn(
            f"the {what} are almost one shade: from {low} to {high} of 255{values}. Their values may have more bits "
            f"than are read, or data.range does not suit them",
            stacklevel=3,
        )
