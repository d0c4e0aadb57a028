"""Additive noise."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from zoo.registry import register_augmentation
from zoo.schema.base import AugmentationConfig
from zoo.system.randomness import normal_like


class NoiseConfig(AugmentationConfig):
    """Normal noise in every pixel, cut to [0, 1], as `GaussianNoise` in torchvision."""

    name: Literal["noise"] = "noise"
    sigma: Annotated[float, Field(gt=0, le=10)] = Field(
        0.1, description="The standard deviation of the noise; intensities lie in [0, 1]."
    )


@register_augmentation(config=NoiseConfig)
def noise(config: NoiseConfig, x: Tensor) -> Tensor:
    """Return the images with noise."""
    return (x + normal_like(x) * config.sigma).clamp(0, 1)
