"""Gaussian pixels of one fixed variance (Kingma & Welling 2014, appendix C.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.likelihoods import Likelihood, LikelihoodHead
from zoo.models.numerics import LOG_2PI
from zoo.registry import register_likelihood
from zoo.schema.base import ADDED_LATER, LikelihoodConfig, Positive


class GaussianConfig(LikelihoodConfig):
    """Independent Gaussian pixels of one fixed variance."""

    family: Literal["gaussian"] = "gaussian"
    variance: Positive = Field(
        1.0,
        description="The variance of each pixel in [0, 1]. At 0.5, -log p(x|z) is the summed squared error plus a "
        "constant.",
    )
    location: Annotated[Literal["sigmoid", "linear"], ADDED_LATER] = Field(
        "sigmoid",
        description="The mean of a pixel: a sigmoid of the decoder's output, which is in [0, 1], or the output itself; "
        "images to look at are then clipped.",
    )

    @property
    def label(self) -> str:
        """The words that distinguish values under this likelihood in tables."""
        return f"{self.family} {self.variance:g}"


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Independent Gaussian pixels of one fixed variance."""

    mu: Tensor  # (B, C, H, W)
    variance: float
    bounded: bool = True  # mu is in [0, 1] already

    @property
    def mean(self) -> Tensor:
        """The mean image mu, (B, C, H, W), clipped to [0, 1]."""
        return self.mu if self.bounded else self.mu.clamp(0, 1)

    @property
    def location(self) -> Tensor:
        """The mean image mu, (B, C, H, W)."""
        return self.mu

    def log_prob(self, x: Tensor) -> Tensor:
        """Sum -(x - mu)^2 / (2 variance) - 1/2 log(2 pi variance) over the pixels: (B,) nats per image."""
        squared = (x - self.mu).square() / self.variance
        return -0.5 * (squared + LOG_2PI + math.log(self.variance)).flatten(1).sum(dim=1)


@register_likelihood(config=GaussianConfig, paper="Kingma & Welling 2014, arXiv:1312.6114, appendix C.2")
class GaussianHead(LikelihoodHead):
    """The outputs are the means, or their logits."""

    def forward(self, output: Tensor) -> Gaussian:
        """Return p(x|z) of outputs (B, C, H, W)."""
        bounded = self.config.location == "sigmoid"
        return Gaussian(torch.sigmoid(output) if bounded else output, self.config.variance, bounded)
