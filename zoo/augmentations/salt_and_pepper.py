r"""Salt-and-pepper noise: single pixels are set to black or white (Vincent et al. 2010).

The share nu of the pixels is replaced, the share omega of these by white.

.. math::
    \tilde x_i = x_i \text{ with probability } 1-\nu, \text{ else } 1 \text{ with probability } \omega, \text{ else } 0
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.registry import register_augmentation
from zoo.schema.base import AugmentationConfig
from zoo.system.randomness import uniform_like


class SaltAndPepperConfig(AugmentationConfig):
    """Single pixels set to 0 or 1, in all channels alike."""

    name: Literal["salt_and_pepper"] = "salt_and_pepper"
    share: Annotated[float, Field(ge=0, le=1)] = Field(0.1, description="The share of the pixels that are replaced.")
    white: Annotated[float, Field(ge=0, le=1)] = Field(0.5, description="The share of 1 among the replaced pixels.")


@register_augmentation(config=SaltAndPepperConfig)
def salt_and_pepper(config: SaltAndPepperConfig, x: Tensor) -> Tensor:
    """Return the images with some of their pixels replaced."""
    drawn = uniform_like(x[:, :1])
    replaced = torch.where(drawn < config.share * config.white, 1.0, 0.0).to(x)
    return torch.where(drawn < config.share, replaced, x)
