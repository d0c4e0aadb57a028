r"""Gaussian pixels of one fixed variance (Kingma & Welling 2014, appendix C.2).

The variance decides how the squared error weighs against the KL: at 1/2, -log p(x|z) is the squared error and a
constant.

.. math::
    \log p(x|z) = -\sum_i \Big[\frac{(x_i-\mu_i(z))^2}{2\sigma^2} + \frac12\log(2\pi\sigma^2)\Big]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field
from torch import Tensor

from zoo.likelihoods import LikelihoodHead
from zoo.likelihoods._base import Located, LocatedConfig
from zoo.models.numerics import LOG_2PI
from zoo.registry import register_likelihood
from zoo.schema.base import Positive


class GaussianConfig(LocatedConfig):
    """Independent Gaussian pixels of one fixed variance."""

    family: Literal["gaussian"] = "gaussian"
    variance: Positive = Field(
        1.0,
        description="The variance of each pixel in [0, 1]. At 0.5, -log p(x|z) is the summed squared error plus a "
        "constant.",
    )

    @property
    def label(self) -> str:
        """The words that distinguish values under this likelihood in tables."""
        return f"{self.family} {self.variance:g}"


@dataclass(frozen=True)
class Gaussian(Located):
    """Independent Gaussian pixels of one fixed variance around mu."""

    variance: float

    def log_prob(self, x: Tensor) -> Tensor:
        """Sum -(x - mu)^2 / (2 variance) - 1/2 log(2 pi variance) over the pixels: (B,) nats per image."""
        squared = (x - self.mu).square() / self.variance
        return -0.5 * (squared + LOG_2PI + math.log(self.variance)).flatten(1).sum(dim=1)


@register_likelihood(config=GaussianConfig, paper="Kingma & Welling 2014, arXiv:1312.6114, appendix C.2")
class GaussianHead(LikelihoodHead):
    """The outputs are the means, or their logits."""

    def forward(self, output: Tensor) -> Gaussian:
        """Return p(x|z) of outputs (B, C, H, W)."""
        return Gaussian(self.config.located(output), self.config.variance)
