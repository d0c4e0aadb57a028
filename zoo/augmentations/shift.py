"""Shifts by whole pixels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from zoo.augmentations._base import between, picked, positions
from zoo.registry import register_augmentation
from zoo.schema.base import AugmentationConfig

Share = Annotated[float, Field(ge=0, le=1)]


class ShiftConfig(AugmentationConfig):
    """Shifts by whole pixels, as `RandomAffine(0, translate=(horizontal, vertical))` in torchvision.

    What comes in from outside is 0.
    """

    name: Literal["shift"] = "shift"
    horizontal: Share = Field(0.1, description="The largest shift to either side, as a part of the width.")
    vertical: Share = Field(0.1, description="The largest shift up or down, as a part of the height.")


@register_augmentation(config=ShiftConfig)
def shift(config: ShiftConfig, x: Tensor) -> Tensor:
    """Return the images shifted."""
    height, width = x.shape[2:]
    right = between(-config.horizontal * width, config.horizontal * width, x).round()
    down = between(-config.vertical * height, config.vertical * height, x).round()
    return shifted(x, right, down)


def shifted(x: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Return images (B, C, H, W) shifted by whole numbers of pixels (B,), with zeros from outside."""
    for dim, by in ((2, down), (3, right)):
        source = positions(x.shape[dim], x) - by[:, None]
        inside = (source >= 0) & (source < x.shape[dim])
        rows = picked(x, source.clamp(0, x.shape[dim] - 1).long(), dim)
        x = rows * (inside[:, None, :, None] if dim == 2 else inside[:, None, None, :])
    return x
