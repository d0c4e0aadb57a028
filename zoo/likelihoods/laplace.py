r"""Laplace pixels of one fixed scale: -log p(x|z) is the absolute error over the scale, and a constant.

Large errors cost less than under a Gaussian, and the best location is the median, which makes edges sharper.

.. math::
    \log p(x|z) = -\sum_i \Big[\frac{|x_i-\mu_i(z)|}{b} + \log 2b\Big]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field
from torch import Tensor

from zoo.likelihoods import LikelihoodHead
from zoo.likelihoods._base import Located, LocatedConfig
from zoo.models.numerics import summed
from zoo.registry import register_likelihood
from zoo.schema.base import Positive


class LaplaceConfig(LocatedConfig):
    """Independent Laplace pixels of one fixed scale."""

    family: Literal["laplace"] = "laplace"
    scale: Positive = Field(1.0, description="The scale b of each pixel in [0, 1].")

    @property
    def label(self) -> str:
        """The words that distinguish values under this likelihood in tables."""
        return f"{self.family} {self.scale:g}"


@dataclass(frozen=True)
class Laplace(Located):
    """Independent Laplace pixels around mu."""

    scale: float

    def log_prob(self, x: Tensor) -> Tensor:
        """Sum -|x - mu| / b - log 2b over the pixels: (B,) nats per image."""
        return -summed((x - self.mu).abs() / self.scale + math.log(2 * self.scale))


@register_likelihood(config=LaplaceConfig, paper="Laplace 1774; as a decoder's: Esser et al. 2021, arXiv:2012.09841")
class LaplaceHead(LikelihoodHead):
    """The outputs are the locations, or their logits."""

    def forward(self, output: Tensor) -> Laplace:
        """Return p(x|z) of outputs (B, C, H, W)."""
        return Laplace(self.config.located(output), self.config.scale)
