"""A folder of the user's own image files, of any size, resized, grey or colour.

One file in ten, by the digest of its name, is held out for testing (the last one if that selects none), unless the
folder has subfolders ``train`` and ``test``. Files that cannot be read are reported and skipped.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from PIL import Image
from pydantic import Field

from zoo.datasets import ImageSet, Split
from zoo.datasets._decode import decode_all
from zoo.errors import ZooError
from zoo.registry import register_dataset
from zoo.schema.base import DatasetConfig, ImageShape
from zoo.system.image_files import images_under, read_image, warn_skipped

FILES_PER_TEST_FILE = 10
"""One file of this many is held out for testing."""


class ImageFolderConfig(DatasetConfig):
    """A folder of your own images, resized."""

    name: Literal["image_folder"] = "image_folder"
    PRIVATE: ClassVar[bool] = True

    path: str = Field(description="The folder; its subfolders are searched as well.")
    size: Annotated[int, Field(ge=8, le=4096)] = Field(
        64, description="Pixels of a side: the central square is cut out and resized."
    )
    channels: Literal[1, 3] = Field(3, description="1 for grey, 3 for RGB.")

    @property
    def image_shape(self) -> ImageShape:
        """The shape of every image, (channels, size, size)."""
        return (self.channels, self.size, self.size)

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of training and test files in the folder now, by their endings."""
        root = Path(os.path.expanduser(self.path))
        return (len(find(root, "train")), len(find(root, "test")))


@register_dataset(config=ImageFolderConfig)
def image_folder(config: ImageFolderConfig, split: Split) -> ImageSet:
    """Load the images of a split, decoded once into a memory-mapped file.

    Raises:
        ZooError: there is no such folder, no image file in it, or none that can be read.
    """
    root = Path(os.path.expanduser(config.path))
    paths = find(root, split)

    def decode(index: int) -> Image.Image:
        return read_image(paths[index], config.image_shape)

    content = hashlib.sha256(f"{config.size} {config.channels}".encode())
    for path in paths:
        status = path.stat()
        content.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    images, unreadable = decode_all(f"folder-{content.hexdigest()[:32]}", len(paths), config.image_shape, decode)
    if unreadable:
        warn_skipped([f"{paths[index]}: {why}" for index, why in unreadable], len(paths), f"{split} images")
    if not len(images):
        raise ZooError(f"none of the {len(paths)} {split} images under {root} can be read")
    return ImageSet(images)


def find(root: Path, split: Split) -> list[Path]:
    """Return the image files of a split, sorted by name.

    Raises:
        ZooError: there is no such folder, or no image file in it for this split.
    """
    paths = images_under(root)
    if (root / "train").is_dir() and (root / "test").is_dir():
        split_paths = [path for path in paths if path.relative_to(root).parts[0] == split]
    else:
        held_out = {path for path in paths if is_test(path)} or {paths[-1]}
        split_paths = [path for path in paths if (path in held_out) == (split == "test")]
    if not split_paths:
        raise ZooError(
            f"data.path: {len(paths)} image(s) under {root}, but none for the {split} split; "
            f"add images, or sort them into {root}/train and {root}/test"
        )
    return split_paths


def is_test(path: Path) -> bool:
    """Return whether a file is held out for testing: one in ten, by its name alone, whichever folder is opened."""
    return int(hashlib.sha256(path.name.encode()).hexdigest(), 16) % FILES_PER_TEST_FILE == 0
