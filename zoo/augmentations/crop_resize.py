"""Parts of the images, enlarged to the images' size."""

from __future__ import annotations

from math import log
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from zoo.augmentations._base import picked, positions
from zoo.registry import register_augmentation
from zoo.schema.base import AugmentationConfig
from zoo.system.randomness import uniform_like

ATTEMPTS = 10
"""The number of rectangles that are drawn for an image; the first that lies in it is taken."""

Part = Annotated[float, Field(gt=0, le=1)]
Ratio = Annotated[float, Field(ge=0.01, le=100)]


class CropResizeConfig(AugmentationConfig):
    """Parts of the images in the images' size, bilinear, as `RandomResizedCrop` in torchvision."""

    name: Literal["crop_resize"] = "crop_resize"
    scale: tuple[Part, Part] = Field((0.08, 1.0), description="The smallest and the largest part of the area.")
    ratio: tuple[Ratio, Ratio] = Field(
        (0.75, 4 / 3), description="The smallest and the largest width of the part in multiples of its height."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, (low, high) in (("scale", self.scale), ("ratio", self.ratio)):
            if low > high:
                raise ValueError(f"{name}: the smallest value, {low:g}, is larger than the largest, {high:g}")
        return self


@register_augmentation(config=CropResizeConfig)
def crop_resize(config: CropResizeConfig, x: Tensor) -> Tensor:
    """Return a part of each image in the image's size."""
    return resized_crop(x, *rectangles(config, x))


def rectangles(config: CropResizeConfig, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw top, left, height and width (B,) of a part of each image (B, C, H, W), whole numbers of pixels."""
    full_height, full_width = x.shape[2:]
    several = x[:, 0, 0, :1].expand(-1, ATTEMPTS)
    (low, high), (narrow, wide) = config.scale, config.ratio
    area = full_height * full_width * (low + (high - low) * uniform_like(several))
    ratio = torch.exp(log(narrow) + (log(wide) - log(narrow)) * uniform_like(several))
    widths, heights = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (widths > 0) & (widths <= full_width) & (heights > 0) & (heights <= full_height)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)  # of several that are equal, the first
    central = min(max(full_width / full_height, narrow), wide)  # where none fits: the largest part in the middle
    central_width, central_height = full_width, full_height
    if full_width / full_height < narrow:
        central_height = max(1, round(full_width / central))
    elif full_width / full_height > wide:
        central_width = max(1, round(full_height * central))
    found = fits.any(1)
    height = torch.where(found, heights.gather(1, first)[:, 0], central_height)
    width = torch.where(found, widths.gather(1, first)[:, 0], central_width)
    down, right = uniform_like(x[:, 0, 0, 0]), uniform_like(x[:, 0, 0, 0])
    top = torch.where(found, (down * (full_height - height + 1)).floor(), (full_height - central_height) // 2)
    left = torch.where(found, (right * (full_width - width + 1)).floor(), (full_width - central_width) // 2)
    return top, left, height, width


def resized_crop(x: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Return rectangles of images (B, C, H, W) in the images' size, bilinear; each argument is (B,)."""
    for dim, start, length in ((2, top, height), (3, left, width)):
        size, last = x.shape[dim], length[:, None] - 1
        place = (positions(size, x) + 0.5) * (length / size)[:, None] - 0.5
        place = torch.minimum(place.clamp(min=0), last)
        before = place.floor()
        after = torch.minimum(before + 1, last)
        share = place - before
        share = share[:, None, :, None] if dim == 2 else share[:, None, None, :]
        one, other = ((start[:, None] + part).long() for part in (before, after))
        x = torch.lerp(picked(x, one, dim), picked(x, other, dim), share)
    return x
