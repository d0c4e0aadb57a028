r"""Beta pixels, a density on (0, 1).

The decoder gives both shapes of each pixel, so that it can be sure or unsure, grey or split between black and white.
Pixels at 0 and 1, where the density has no value, count as if they were a margin away. Where all images agree on a
pixel its density would grow for ever; the concentration :math:`\alpha+\beta` stays below 1/margin, with which a density
at the margin is as wide as the margin itself.

.. math::
    \log p(x|z) = \sum_i \Big[(\alpha_i-1)\log x_i + (\beta_i-1)\log(1-x_i) - \log B(\alpha_i,\beta_i)\Big]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from zoo.likelihoods import Likelihood, LikelihoodHead
from zoo.models.numerics import summed
from zoo.registry import register_likelihood
from zoo.schema.base import LikelihoodConfig


class BetaConfig(LikelihoodConfig):
    """Independent beta pixels; the decoder returns both shapes of each."""

    family: Literal["beta"] = "beta"
    margin: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        1 / 512,
        description="Pixels nearer to 0 or 1 than this count as if they were this far, since the density has no value "
        "there; and alpha + beta stays below 1/margin.",
    )

    @property
    def outputs(self) -> int:
        """The shapes alpha and beta."""
        return 2


@dataclass(frozen=True)
class Beta(Likelihood):
    """Independent beta pixels of shapes alpha and beta."""

    alpha: Tensor  # (B, C, H, W)
    beta: Tensor  # (B, C, H, W)
    margin: float

    @property
    def mean(self) -> Tensor:
        """alpha / (alpha + beta), (B, C, H, W) in [0, 1]."""
        return self.alpha / (self.alpha + self.beta)

    def log_prob(self, x: Tensor) -> Tensor:
        """Sum the log-density over the pixels: (B,) nats per image."""
        x = x.clamp(self.margin, 1 - self.margin)
        normaliser = torch.lgamma(self.alpha + self.beta) - torch.lgamma(self.alpha) - torch.lgamma(self.beta)
        return summed(normaliser + (self.alpha - 1) * x.log() + (self.beta - 1) * torch.log1p(-x))


@register_likelihood(config=BetaConfig, paper="Johnson et al. 1995, Continuous Univariate Distributions 2, chapter 25")
class BetaHead(LikelihoodHead):
    """The outputs are the shapes before softplus and before their sum is bounded, which keeps the mean."""

    def forward(self, output: Tensor) -> Beta:
        """Return p(x|z) of outputs (B, 2*C, H, W)."""
        alpha, beta = (F.softplus(part) + 1e-3 for part in self.split(output))
        bound = 1 + self.config.margin * (alpha + beta)
        return Beta(alpha / bound, beta / bound, self.config.margin)
