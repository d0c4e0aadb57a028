"""Brighter and darker images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from zoo.augmentations._base import between
from zoo.registry import register_augmentation
from zoo.schema.base import AugmentationConfig


class BrightnessConfig(AugmentationConfig):
    """Intensities times a factor around 1, as `ColorJitter(brightness=strength)` in torchvision."""

    name: Literal["brightness"] = "brightness"
    strength: Annotated[float, Field(gt=0, le=10)] = Field(
        0.2, description="The factor lies between 1 - strength, or 0, and 1 + strength."
    )


@register_augmentation(config=BrightnessConfig)
def brightness(config: BrightnessConfig, x: Tensor) -> Tensor:
    """Return the images, some brighter, some darker."""
    return brightened(x, between(max(0.0, 1 - config.strength), 1 + config.strength, x))


def brightened(x: Tensor, factor: Tensor) -> Tensor:
    """Return images (B, C, H, W) in [0, 1] times a factor (B,) each, still in [0, 1]."""
    return (x * factor[:, None, None, None]).clamp(0, 1)
