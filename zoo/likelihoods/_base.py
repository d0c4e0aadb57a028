"""Code that several likelihoods share: a location for each pixel, with a density around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.models.likelihoods import Likelihood
from zoo.schema.base import ADDED_LATER, LikelihoodConfig


class LocatedConfig(LikelihoodConfig):
    """Settings of a family that has a location for each pixel."""

    location: Annotated[Literal["sigmoid", "linear"], ADDED_LATER] = Field(
        "sigmoid",
        description="The location of a pixel: a sigmoid of the decoder's output, which is in [0, 1], or the output "
        "itself; images to look at are then clipped.",
    )

    def located(self, output: Tensor) -> Tensor:
        """Return the locations of outputs (B, C, H, W)."""
        return output if self.location == "linear" else torch.sigmoid(output)


@dataclass(frozen=True)
class Located(Likelihood):
    """A distribution of pixels around a location mu."""

    mu: Tensor  # (B, C, H, W)

    @property
    def mean(self) -> Tensor:
        """The location mu, (B, C, H, W), clipped to [0, 1]."""
        return self.mu.clamp(0, 1)

    @property
    def location(self) -> Tensor:
        """The location mu, (B, C, H, W)."""
        return self.mu


LOG_SIGMA_FLOOR = -6.0
"""The value that log sigma stays above (Rybkin et al. 2021): images of 8 bits would let it fall without end."""


def soft_floor(log_sigma: Tensor) -> Tensor:
    """Return log sigma bent so that it stays above -6: -6 + softplus(log sigma + 6)."""
    return LOG_SIGMA_FLOOR + torch.nn.functional.softplus(log_sigma - LOG_SIGMA_FLOOR)
