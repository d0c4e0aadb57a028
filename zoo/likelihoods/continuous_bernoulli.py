r"""Continuous Bernoulli pixels, a density on [0, 1] (Loaiza-Ganem & Cunningham 2019, equations 6 to 8).

The cross-entropy of grey images is no log-density: a constant is missing that depends on the logit eta. With it the
likelihood is right for intensities, and the mean of a pixel is no longer the sigmoid. Near eta = 0 both are taken
through their series. Pixels that are all black or all white would let the density grow for ever: as in the authors'
code, sigmoid(eta) is clipped to [margin, 1 - margin].

.. math::
    \log p(x|z) = \sum_i \Big[\eta_i x_i - \mathrm{softplus}(\eta_i) + \log\frac{\eta_i}{\tanh(\eta_i/2)}\Big], \qquad
    \mathbb{E}[x_i] = \frac{1}{1-e^{-\eta_i}} - \frac{1}{\eta_i}
"""

from __future__ import annotations

import math
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

NEAR = 0.1
"""Logits nearer to 0 than this are taken through the series at 0, where the closed forms are 0/0."""


class ContinuousBernoulliConfig(LikelihoodConfig):
    """Independent continuous Bernoulli pixels, a density on [0, 1]; the decoder returns logits."""

    family: Literal["continuous_bernoulli"] = "continuous_bernoulli"
    margin: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        1e-4, description="The sigmoid of a logit is clipped to [margin, 1 - margin], which bounds the density."
    )

    @property
    def label(self) -> str:
        """The words that distinguish values under this likelihood in tables."""
        return "continuous Bernoulli"


@dataclass(frozen=True)
class ContinuousBernoulli(Likelihood):
    """Independent continuous Bernoulli pixels of logits eta."""

    logits: Tensor  # (B, C, H, W)

    @property
    def mean(self) -> Tensor:
        """1 / (1 - exp(-eta)) - 1 / eta, (B, C, H, W) in [0, 1]; it is not sigmoid(eta)."""
        eta, near, safe = self._parts()
        series = 0.5 + eta / 12 - eta**3 / 720
        return torch.where(near, series, 0.5 + 0.5 / torch.tanh(safe / 2) - 1 / safe)

    def log_prob(self, x: Tensor) -> Tensor:
        """Sum eta x - softplus(eta) + log C over the pixels, C = eta / tanh(eta / 2): (B,) nats per image."""
        eta, near, safe = self._parts()
        series = math.log(2) + eta**2 / 12 - 7 * eta**4 / 1440
        log_c = torch.where(near, series, (safe / torch.tanh(safe / 2)).log())
        return summed(eta * x - F.softplus(eta) + log_c)

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return eta, where it is near 0, and eta with a number there that is not: gradients stay finite."""
        near = self.logits.abs() < NEAR
        return self.logits, near, torch.where(near, NEAR, self.logits)


@register_likelihood(
    config=ContinuousBernoulliConfig, paper="Loaiza-Ganem & Cunningham 2019, arXiv:1907.06845, equations 6 to 8"
)
class ContinuousBernoulliHead(LikelihoodHead):
    """The outputs are logits before they are clipped."""

    def forward(self, output: Tensor) -> ContinuousBernoulli:
        """Return p(x|z) of outputs (B, C, H, W)."""
        bound = math.log(1 / self.config.margin - 1)
        return ContinuousBernoulli(output.clamp(-bound, bound))
