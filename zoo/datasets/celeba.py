"""CelebA (Liu et al. 2015): 162,770 + 19,962 aligned faces, cropped to 148 pixels and resized."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from PIL import Image
from pydantic import Field

from zoo.datasets import ImageSet, Split, damaged, from_torchvision
from zoo.datasets._decode import decode_all
from zoo.registry import register_dataset
from zoo.schema.base import DatasetConfig, ImageShape

CROP = 148
"""Pixels of a side of the central square that is cut out."""


class CelebAConfig(DatasetConfig):
    """Faces, cropped and resized (64x64), colour."""

    name: Literal["celeba"] = "celeba"
    SIZES: ClassVar[tuple[int, int] | None] = (162_770, 19_962)

    size: Annotated[int, Field(ge=8, le=CROP)] = Field(
        64, description="Pixels of a side, after cropping the central 148x148."
    )

    @property
    def image_shape(self) -> ImageShape:
        """The shape of every image, (3, size, size)."""
        return (3, self.size, self.size)


@register_dataset(
    config=CelebAConfig,
    paper="Liu, Luo, Wang & Tang 2015, Deep Learning Face Attributes in the Wild, arXiv:1411.7766",
)
def celeba(config: CelebAConfig, split: Split) -> ImageSet:
    """Load the official training or test split, decoded once into a memory-mapped file; validation is unused."""
    source = from_torchvision("celeba", "CelebA", split=split, target_type="identity")

    def decode(index: int) -> Image.Image:
        image: Image.Image = source[index][0]
        left, top = (image.width - CROP) // 2, (image.height - CROP) // 2
        return image.crop((left, top, left + CROP, top + CROP)).resize((config.size,) * 2, Image.Resampling.BICUBIC)

    key = f"celeba-{split}-{config.size}"
    images, unreadable = decode_all(key, len(source), config.image_shape, decode, source=f"celeba, {split}")
    if unreadable:
        raise damaged("celeba", f"{len(unreadable)} images cannot be read, number {unreadable[0][0]} first")
    return ImageSet(images)
