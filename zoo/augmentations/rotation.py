"""Rotations around the middle."""

from __future__ import annotations

from math import pi
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from zoo.augmentations._base import between, positions
from zoo.registry import register_augmentation
from zoo.schema.base import AugmentationConfig


class RotationConfig(AugmentationConfig):
    """Rotations around the middle, bilinear, as `RandomRotation` in torchvision. What comes in from outside is 0."""

    name: Literal["rotation"] = "rotation"
    degrees: Annotated[float, Field(gt=0, le=180)] = Field(
        10.0, description="The largest angle in either direction, in degrees."
    )


@register_augmentation(config=RotationConfig)
def rotation(config: RotationConfig, x: Tensor) -> Tensor:
    """Return the images rotated."""
    return rotated(x, between(-config.degrees, config.degrees, x))


def rotated(x: Tensor, degrees: Tensor) -> Tensor:
    """Return images (B, C, H, W) rotated counter-clockwise by angles (B,) in degrees, with zeros from outside."""
    height, width = x.shape[2:]
    angle = (degrees * (pi / 180))[:, None, None]
    cos, sin = angle.cos(), angle.sin()
    across = positions(width, x)[None, None, :] - (width - 1) / 2
    down = positions(height, x)[None, :, None] - (height - 1) / 2
    # Where each pixel comes from, from -1 at the one edge of the image to 1 at the other.
    source = [(cos * across - sin * down) * (2 / width), (sin * across + cos * down) * (2 / height)]
    return F.grid_sample(x, torch.stack(source, dim=3), mode="bilinear", padding_mode="zeros", align_corners=False)
