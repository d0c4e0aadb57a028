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

import torch
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor

from zoo.datasets import ImageSet, Split
from zoo.datasets._decode import decode_all
from zoo.datasets._folder_classes import Labels, found_classes, known_classes
from zoo.datasets._folder_split import FolderSplit, describe, key_of, split_images
from zoo.errors import ZooError
from zoo.registry import register_dataset
from zoo.schema.base import DatasetConfig, ImageShape
from zoo.schema.parsing import validate
from zoo.system.files import user_path
from zoo.system.image_files import Fit, Pages, Presentation, read_image
from zoo.system.image_scan import Scan, scan
from zoo.system.image_sources import ImageFiles, images_at, listed, printable, warn_skipped
from zoo.system.zip_files import version

Side = Annotated[int, Field(ge=8, le=4096)]

CLASSES_SHOWN = 20
"""The number of classes that are listed."""

LEAST_CONTRAST = 24
"""Images whose values differ by less, of 255, are reported: 12 bits taken for 16 become 15 shades."""

SPLITS: tuple[Split, ...] = ("train", "test")

SHADES_OF = 1000
"""The number of images, evenly spaced, that are looked at for it."""


class ImageFolderConfig(DatasetConfig):
    """A folder of your own images, resized."""

    name: Literal["image_folder"] = "image_folder"
    PRIVATE: ClassVar[bool] = True

    path: str = Field(
        description="The folder, a zip of it, a pattern of paths (`images/*.png`), or one image file. Subfolders of a "
        "folder are searched as well, links are followed."
    )
    size: Side | tuple[Side, Side] = Field(
        64, description="Pixels of a side of the square images, or `[height, width]`."
    )
    fit: Fit = Field(
        "crop",
        description="The way to fit an image of other proportions: its central part is cut out (`crop`), black is "
        "put around it (`pad`), or it is stretched (`stretch`).",
    )
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

    classes: (
        Annotated[tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Field(max_length=10_000)] | None
    ) = Field(
        None,
        description="The names of the subfolders that are classes, in the order of their labels; `null`: those that "
        "there are, sorted, unless `group` is set; `[]`: none.",
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
        """The shape of every image, (channels, height, width)."""
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return (self.channels, height, width)

    @property
    def presentation(self) -> Presentation:
        """The way from files to images of this shape."""
        return Presentation(self.image_shape, self.fit, self.pages, self.range)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, where the folder is here."""
        if self.classes is not None:
            return self.classes
        try:
            return Contents(self).classes
        except ZooError:
            return ()

    @property
    def presented(self) -> str:
        """The words for the range of values, where it is not that of 8 bits."""
        return f", whose values from {self.range[0]:g} to {self.range[1]:g} are black to white" if self.range else ""

    @property
    def root(self) -> Path:
        """The path or pattern."""
        return user_path(self.path)

    def counted(self) -> tuple[int, int, list[str]]:
        """Count the images of each side by the headers of their files, and say what was left out.

        Raises:
            ZooError: there are none on some side.
        """
        there, counts, lines = Contents(self), [], []
        there.warn()
        if self.only_classes is not None and not there.classes:
            raise ZooError("its images have no labels to choose by")
        for split in SPLITS:
            pages = there.of(split)
            readable = [path for path, _ in pages if path not in there.scan.damaged]
            bad = skipped(len(pages) - len(readable))
            if self.only_classes is not None:
                readable = [path for path in readable if there.labels[path] in self.only_classes]
            counts.append(len(readable))
            lines.append(f"{split}: {len(readable):,} images{bad}")
        how = "counted by the headers of the files; those that are cut off further on show when they are decoded"
        return counts[0], counts[1], [*there.notes(), *lines, how]

    def resolved(self, *, labels: bool) -> Self:
        """Return these settings with the range that the images have, and their classes if ``labels`` decide anything.

        Raises:
            ZooError: there is no such folder, or no image file in it.
        """
        there = Contents(self)
        classes = there.classes if labels else self.classes  # else their names stay private
        return self.model_copy(update={"range": self.range or there.scan.range, "classes": classes})


def folder_for(path: str, shape: ImageShape, trained: DatasetConfig, classes: list[str] | None) -> DatasetConfig:
    """Return the settings of a folder whose images are presented as those that a model was trained on.

    Args:
        path: the folder.
        shape: the shape (C, H, W) of the model's images.
        trained: the data section of the model's recipe.
        classes: the names of the subfolders that are a conditional model's classes; None for any other model.

    Raises:
        ZooError: image files cannot have this shape.
    """
    fields = {"name": "image_folder", "path": path, "channels": shape[0], "size": list(shape[1:])}
    if isinstance(trained, ImageFolderConfig):
        fields |= trained.model_dump(mode="json", include={"fit", "pages", "range", "holdout", "group"})
    fields |= {"binarization": trained.binarization, "classes": classes}
    config: DatasetConfig = validate(ImageFolderConfig, fields, path)
    return config


class Contents:
    """The content of a folder of images: its files, their headers, and the split that each belongs to."""

    def __init__(self, config: ImageFolderConfig) -> None:
        self.files: ImageFiles = images_at(config.root)
        self.pages = config.pages
        self.signature = signature(self.files)
        self.scan: Scan = _scan(self.signature, tuple(self.files.paths), config.pages, config.range)
        self.split: FolderSplit = split_images(
            self.files.base, self.files.paths, holdout=config.holdout, group=config.group, test_list=config.test_list
        )

        self.classes, self.labels = self._classes(config)
        images = self.scan.images(self.files.paths, config.pages)
        sides: dict[Split, set[Path]] = {side: set(paths) for side, paths in self.split.sides.items()}
        self.images = {side: [(path, page) for path, page in images if path in paths] for side, paths in sides.items()}

    def of(self, split: Split) -> list[tuple[Path, int]]:
        """Return the images of a side: a file and a page of it.

        Raises:
            ZooError: there are none.
        """
        if not self.images[split]:
            raise ZooError(
                f"data.path: {len(self.files.paths)} image(s) under {self.files.name}, but none for the {split} split; "
                f"add images, or sort them into folders named train and test"
            )
        return self.images[split]

    def warn(self) -> None:
        """Warn of what is left out, and of pages and ranges that may not be what was meant."""
        self.files.warn()
        self.scan.warn(self.files.name, self.pages)
        for reason, paths in self.split.left_out.items():
            warnings.warn(f"{self.files.name}: left out {listed(paths, self.files.root)}: {reason}", stacklevel=3)

    def notes(self) -> list[str]:
        """Say how many image files there are, on what they were divided, and what was left out."""
        root = self.files.root
        left_out = [f"left out {listed(paths, root)}: {reason}" for reason, paths in self.files.left_out.items()]
        found = f"{len(self.files.paths):,} image files"
        classes = ", ".join(f"{name} ({label})" for label, name in enumerate(self.classes[:CLASSES_SHOWN]))
        more = ", …" if len(self.classes) > CLASSES_SHOWN else ""
        named = [f"{len(self.classes):,} classes, from the names of subfolders: {classes}{more}"] if classes else []
        lines = [found, *describe(self.split, root), *left_out, *named, *self.scan.describe()]
        return [f"{self.files.name}: {line}" for line in lines]

    def _classes(self, config: ImageFolderConfig) -> tuple[tuple[str, ...], dict[Path, int]]:
        """Return the names of the classes and the label of each image, and leave out those that are in no class."""
        sides = self.split.sides
        paths = sorted({*sides["train"], *sides["test"]})
        relative = [path.relative_to(self.files.root) for path in paths]
        names: tuple[str, ...] = ()
        labels: Labels = []
        if config.classes:
            names, labels = config.classes, known_classes(relative, config.classes)
        elif config.classes is None and config.group is None:
            names, labels = found_classes(relative)
        if not names:
            return (), {}
        labelled = {path: label for path, label in zip(paths, labels, strict=True) if label is not None}
        if outside := [path for path in paths if path not in labelled]:
            self.split.left_out["images in no folder of data.classes"] = outside
            for side, members in sides.items():
                sides[side] = [path for path in members if path in labelled]
        return names, labelled


def signature(files: ImageFiles) -> str:
    """Return a digest of the names, sizes and times of image files: another one when any of them changes."""
    digest = hashlib.sha256()
    for path in files.paths:
        name = path.relative_to(files.root).as_posix().encode("utf-8", "surrogateescape")
        digest.update(b"%b\0%d\0%d\0" % (name, *version(path)))
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
    there = Contents(config)
    there.warn()
    name, pages = there.files.name, there.of(split)
    presentation = replace(config.presentation, range=there.scan.range)

    def decode(index: int) -> Image.Image:
        path, page = pages[index]
        return read_image(path, presentation, page)

    settings = replace(presentation, range=None)  # which follows from the content
    place = hashlib.sha256(f"{os.path.abspath(config.root)}\0{split} {settings}".encode("utf-8", "surrogateescape"))
    content = hashlib.sha256(f"{there.signature} {presentation}".encode())
    for path, page in pages:
        content.update(f"{path.relative_to(there.files.root).as_posix()}\0{page}\0".encode("utf-8", "surrogateescape"))
    key = f"folder-{place.hexdigest()[:32]}"
    source = f"{printable(Path(os.path.abspath(config.root)))}, {split}"
    images, unreadable = decode_all(
        key, len(pages), config.image_shape, decode, content=content.hexdigest(), source=source
    )
    bad = {index for index, _ in unreadable}
    labels = [there.labels[path] for index, (path, _) in enumerate(pages) if index not in bad] if there.classes else []
    if unreadable:
        lines = [f"{printable(pages[index][0])}: {why}" for index, why in unreadable]
        warn_skipped(lines, len(pages), f"{split} images")
    if not len(images):
        raise ZooError(f"none of the {len(pages)} {split} images under {name} can be read")
    warn_if_one_shade(images, f"{split} images under {name}", there.scan)
    relative = [path.relative_to(there.files.root) for index, (path, _) in enumerate(pages) if index not in bad]
    keys = [key_of(path, config.group) for path in relative]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    groups = torch.tensor([numbers[key] for key in keys]) if len(numbers) < len(keys) else None
    told = (*there.notes(), f"{split}: {len(images):,} images{skipped(len(unreadable))}")
    classes = torch.tensor(labels, dtype=torch.int64) if there.classes else None
    return ImageSet(images, classes, groups=groups, notes=told)


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
