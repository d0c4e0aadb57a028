"""The embedded glyphs at any size, to see how cost grows with the image. Registers the dataset ``digits_of_side``."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch.nn.functional import interpolate

import zoo
from zoo.datasets import ImageSet, Split, load_images
from zoo.schema.base import DatasetConfig, ImageShape, Size
from zoo.schema.recipe import parse_data


class DigitsConfig(DatasetConfig):
    """The glyphs, resized, for measurements of speed."""

    name: Literal["digits_of_side"] = "digits_of_side"
    side: Size = Field(description="The height and the width of each image, in pixels.")

    @property
    def image_shape(self) -> ImageShape:
        """(1, side, side)."""
        return (1, self.side, self.side)


@zoo.register_dataset(config=DigitsConfig)
def digits_of_side(config: DigitsConfig, split: Split) -> ImageSet:
    """Draw as many glyphs as the settings ask for, resized bilinearly."""
    limits = config.model_dump(include={"train_images", "test_images"})
    glyphs = load_images(parse_data({"name": "glyphs", **limits}, "digits_of_side"), split)
    parts = [interpolate(part.float(), size=config.side, mode="bilinear") for part in glyphs.images.split(1024)]
    return ImageSet(torch.cat([part.round().to(torch.uint8) for part in parts]), glyphs.labels)
