r"""Masking noise: single pixels are set to black (Vincent et al. 2008).

.. math::
    \tilde x_i = 0 \text{ with probability } \nu, \text{ else } x_i
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from zoo.registry import register_augmentation
from zoo.schema.base import AugmentationConfig
from zoo.system.randomness import uniform_like


class MaskingConfig(AugmentationConfig):
    """Single pixels set to 0, in all channels alike."""

    name: Literal["masking"] = "masking"
    share: Annotated[float, Field(ge=0, le=1)] = Field(0.25, description="The share nu of pixels that are set to 0.")


@register_augmentation(config=MaskingConfig)
def masking(config: MaskingConfig, x: Tensor) -> Tensor:
    """Return the images without some of their pixels."""
    return x * (uniform_like(x[:, :1]) >= config.share)
