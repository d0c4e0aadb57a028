"""Mirroring."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from zoo.registry import register_augmentation
from zoo.schema.base import AugmentationConfig


class FlipConfig(AugmentationConfig):
    """Mirrored images, as `RandomHorizontalFlip` and `RandomVerticalFlip` in torchvision."""

    name: Literal["flip"] = "flip"
    probability: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="The probability with which an image is changed at all."
    )
    direction: Literal["horizontal", "vertical"] = Field(
        "horizontal", description="`horizontal` exchanges left and right, `vertical` top and bottom."
    )


@register_augmentation(config=FlipConfig)
def flip(config: FlipConfig, x: Tensor) -> Tensor:
    """Return the images mirrored."""
    return x.flip(3 if config.direction == "horizontal" else 2)
