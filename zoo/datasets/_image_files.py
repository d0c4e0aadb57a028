"""Image files of the user's own, in folders, tar files or tables: how they become images of one shape.

Everything that is left out is reported.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor

from zoo.datasets import ImageSet, Split
from zoo.datasets._decode import decode_all
from zoo.datasets._found_images import Contents, Found
from zoo.errors import ZooError
from zoo.schema.base import DatasetConfig, ImageShape
from zoo.system.files import user_path
from zoo.system.image_files import Fit, Pages, Presentation, read_image
from zoo.system.image_scan import Scan
from zoo.system.image_sources import printable, warn_skipped

Side = Annotated[int, Field(ge=8, le=4096)]

LEAST_CONTRAST = 24
"""Images whose values differ by less, of 255, are reported: 12 bits taken for 16 become 15 shades."""

SHADES_OF = 1000
"""The number of images, evenly spaced, that are looked at for it."""

SPLITS: tuple[Split, ...] = ("train", "test")


class ImageFilesConfig(DatasetConfig):
    """Image files of the user's own, made one shape. Each source adds where they are and how they are divided."""

    PRIVATE: ClassVar[bool] = True

    path: str = Field(description="The place of the image files.")
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
    classes: (
        Annotated[tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Field(max_length=10_000)] | None
    ) = Field(
        None,
        description="The names of the classes, in the order of their labels; `null`: those that there are, sorted; "
        "`[]`: none.",
    )

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError("range: the second number must be larger than the first")
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
        """The names of the classes, where the images are here."""
        if self.classes is not None:
            return self.classes
        try:
            return self.found().classes
        except ZooError:
            return ()

    @property
    def labelled(self) -> bool:
        """False if no file has a label."""
        return bool(self.found().labels)

    @property
    def presented(self) -> str:
        """The words for the range of values, where it is not that of 8 bits."""
        return f", whose values from {self.range[0]:g} to {self.range[1]:g} are black to white" if self.range else ""

    @property
    def root(self) -> Path:
        """The path or pattern."""
        return user_path(self.path)

    def found(self) -> Found[Any]:
        """List the image files, divided, with their labels.

        Raises:
            ZooError: there is no such place, or no image file in it.
        """
        raise NotImplementedError

    def contents(self) -> Contents[Any]:
        """List the image files, and read their headers."""
        return Contents(self.found(), self.presentation)

    def counted(self) -> tuple[int, int, list[str]]:
        """Count the images of each side by the headers of their files, and say what was left out.

        Raises:
            ZooError: there are none on some side.
        """
        there, counts, lines = self.contents(), [], []
        there.warn()
        if self.only_classes is not None and not there.found.classes:
            raise ZooError("its images have no labels to choose by")
        for split in SPLITS:
            pages = there.of(split)
            readable = [file for file, _ in pages if file not in there.scan.damaged]
            bad = skipped(len(pages) - len(readable))
            if self.only_classes is not None:
                readable = [file for file in readable if there.found.labels[file] in self.only_classes]
            counts.append(len(readable))
            lines.append(f"{split}: {len(readable):,} images{bad}")
        how = "counted by the headers of the files; those that are cut off further on show when they are decoded"
        return counts[0], counts[1], [*there.notes(), *lines, how]

    def resolved(self, *, labels: bool) -> Self:
        """Return these settings with the range that the images have, and their classes if ``labels`` decide anything.

        Raises:
            ZooError: there is no such place, or no image file in it.
        """
        there = self.contents()
        classes = there.found.classes if labels else self.classes  # else their names stay private
        return self.model_copy(update={"range": self.range or there.scan.range, "classes": classes})


def load(config: ImageFilesConfig, split: Split) -> ImageSet:
    """Load the images of a split, decoded once into a memory-mapped file.

    Raises:
        ZooError: there is no such place, no image file in it for this split, or none that can be read.
    """
    there = config.contents()
    there.warn()
    found, pages = there.found, there.of(split)
    presentation = replace(config.presentation, range=there.scan.range)

    def decode(index: int) -> Image.Image:
        file, page = pages[index]
        return read_image(file, presentation, page)

    settings = replace(presentation, range=None)  # which follows from the content
    place = hashlib.sha256(f"{found.place}\0{split} {settings}{found.chosen}".encode("utf-8", "surrogateescape"))
    content = hashlib.sha256(f"{found.version} {presentation}".encode())
    for file, page in pages:
        content.update(f"{found.path(file).as_posix()}\0{page}\0".encode("utf-8", "surrogateescape"))
    images, unreadable = decode_all(
        f"folder-{place.hexdigest()[:32]}", len(pages), config.image_shape, decode, content=content.hexdigest(),
        source=f"{printable(Path(found.place))}, {split}",
    )  # fmt: skip
    if unreadable:
        lines = [f"{printable(Path(found.path(pages[index][0])))}: {why}" for index, why in unreadable]
        warn_skipped(lines, len(pages), f"{split} images")
    if not len(images):
        raise ZooError(f"none of the {len(pages)} {split} images under {found.name} can be read ({lines[0]})")
    warn_if_one_shade(images, f"{split} images under {found.name}", there.scan)
    bad = {index for index, _ in unreadable}
    files = [file for index, (file, _) in enumerate(pages) if index not in bad]
    labels = torch.tensor([found.labels[file] for file in files], dtype=torch.int64) if found.classes else None
    told = (*there.notes(), f"{split}: {len(images):,} images{skipped(len(unreadable))}")
    return ImageSet(images, labels, groups=numbered([found.key(file) for file in files]), notes=told)


def numbered(keys: list[str]) -> Tensor | None:
    """Return the number of the group of each image, int64 (N,), or None where each is a group of its own."""
    numbers: Mapping[str, int] = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return torch.tensor([numbers[key] for key in keys]) if len(numbers) < len(keys) else None


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
            stacklevel=4,
        )
