"""Images of more or less contrast."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from zoo.augmentations._base import between
from zoo.registry import register_augmentation
from zoo.schema.base import AugmentationConfig

LUMA = (0.2989, 0.587, 0.114)
"""The weights of red, green and blue in a grey image (ITU-R BT.601), as in torchvision."""


class ContrastConfig(AugmentationConfig):
    """Distances from the mean grey times a factor around 1, as `ColorJitter(contrast=strength)` in torchvision."""

    name: Literal["contrast"] = "contrast"
    strength: Annotated[float, Field(gt=0, le=10)] = Field(
        0.2, description="The factor lies between 1 - strength, or 0, and 1 + strength."
    )


@register_augmentation(config=ContrastConfig)
def contrast(config: ContrastConfig, x: Tensor) -> Tensor:
    """Return the images, some with more, some with less contrast."""
    return with_contrast(x, between(max(0.0, 1 - config.strength), 1 + config.strength, x))


def with_contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Return images (B, C, H, W) in [0, 1] with their contrast times a factor (B,) each, still in [0, 1].

    Three channels are red, green and blue; of any other number, the mean over all is the grey.
    """
    channels = [part.mean(dim=(1, 2)) for part in x.unbind(1)]  # each (B,)
    weights = LUMA if len(channels) == 3 else [1 / len(channels)] * len(channels)
    grey = sum(weight * mean for weight, mean in zip(weights, channels, strict=True))
    factor = factor[:, None, None, None]
    return (factor * x + (1 - factor) * grey[:, None, None, None]).clamp(0, 1)  # type: ignore[index]
