"""A folder of the user's own pictures: of any size, resized, grey or colour.

One picture in ten, by the digest of its file's name, is kept for testing (the last one if that chose none), unless the
folder has subfolders ``train`` and ``test``. Pictures that cannot be read are reported and skipped.
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

TEST_PART = 10


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
        """(channels, size, size)."""
        return (self.channels, self.size, self.size)

    @property
    def sizes(self) -> tuple[int, int]:
        """The files that look like pictures now."""
        root = Path(os.path.expanduser(self.path))
        return (len(find(root, "train")), len(find(root, "test")))


@register_dataset(config=ImageFolderConfig)
def image_folder(config: ImageFolderConfig, split: Split) -> ImageSet:
    """The split's pictures, decoded once into a memory-mapped file.

    Raises:
        ZooError: there is no such folder, no picture in it, or none that can be read.
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
        raise ZooError(f"none of the {len(paths)} {split} pictures under {root} can be read")
    return ImageSet(images)


def find(root: Path, split: Split) -> list[Path]:
    """The pictures of a split, sorted by name.

    Raises:
        ZooError: there is no such folder, or no picture in it for this split.
    """
    paths = images_under(root)
    if (root / "train").is_dir() and (root / "test").is_dir():
        chosen = [path for path in paths if path.relative_to(root).parts[0] == split]
    else:
        held_out = {path for path in paths if is_test(path)} or {paths[-1]}
        chosen = [path for path in paths if (path in held_out) == (split == "test")]
    if not chosen:
        raise ZooError(
            f"data.path: {len(paths)} picture(s) under {root}, but none for the {split} split; "
            f"add pictures, or sort them into {root}/train and {root}/test"
        )
    return chosen


def is_test(path: Path) -> bool:
    """Whether a picture is held out: one in ten, by its file's name alone, wherever the folder is entered."""
    return int(hashlib.sha256(path.name.encode()).hexdigest(), 16) % TEST_PART == 0
