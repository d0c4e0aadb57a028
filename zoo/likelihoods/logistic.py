r"""Discretised logistics: probabilities of the 256 levels of a pixel, alone or as a mixture (Salimans et al. 2017).

The likelihood is of the 8-bit values themselves and no density, so that it cannot grow without end. Each level has the
part of a logistic distribution that falls to it, and the outermost levels have all that lies beyond them: the 256
probabilities add up to 1.

.. math::
    P(x_i) = \sum_{m=1}^{M}\pi_m\Big[\mathrm{sigmoid}\Big(\frac{x_i+\frac1{510}-\mu_m}{s_m}\Big)
    - \mathrm{sigmoid}\Big(\frac{x_i-\frac1{510}-\mu_m}{s_m}\Big)\Big], \qquad x_i \in \{0, \tfrac1{255}, \dots, 1\}
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from zoo.likelihoods import Likelihood, LikelihoodHead
from zoo.models.numerics import summed
from zoo.registry import register_likelihood
from zoo.schema.base import LikelihoodConfig, Size

HALF = 1 / 510
"""Half the distance between two levels."""

NARROW = 1e-4
"""Levels narrower than this, in scales, have the logarithm of 1 - exp(-u) through its series: u may be 0 in 32 bits."""

MIN_LOG_SCALE = -7.0
"""The value that log scales stay above, as in the authors' code."""


class LogisticConfig(LikelihoodConfig):
    """Independent pixels of 256 levels, each the part of a logistic distribution that falls to a level."""

    family: Literal["logistic"] = "logistic"
    components: Size = Field(1, description="The number M of logistics in the mixture of each pixel.")

    @property
    def outputs(self) -> int:
        """Weight, location and log scale of each logistic; one alone has no weight."""
        return 3 * self.components if self.components > 1 else 2

    @property
    def label(self) -> str:
        """The words that distinguish values under this likelihood in tables."""
        return "logistic" if self.components == 1 else f"{self.components} logistics"


@dataclass(frozen=True)
class DiscretisedLogistic(Likelihood):
    """Independent pixels of the levels 0, 1/255, …, 1, each from a mixture of M logistics; all (B, M, C, H, W)."""

    log_weights: Tensor
    mu: Tensor
    log_scale: Tensor

    @property
    def location(self) -> Tensor:
        """The mean of the locations, (B, C, H, W)."""
        return (self.log_weights.exp() * self.mu).sum(dim=1)

    @property
    def mean(self) -> Tensor:
        """The mean of the locations, (B, C, H, W), clipped to [0, 1]: that of the levels but for the edges."""
        return self.location.clamp(0, 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-probability of the levels x, (B,) nats per image; a value between two counts as one."""
        x = x[:, None]
        above = (x + HALF - self.mu) * (-self.log_scale).exp()
        below = (x - HALF - self.mu) * (-self.log_scale).exp()
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)); the outermost levels are open.
        log_cdf = torch.where(x > 1 - HALF, 0.0, F.logsigmoid(above))
        log_survival = torch.where(x < HALF, 0.0, F.logsigmoid(-below))
        u = 2 * HALF * (-self.log_scale).exp()
        wide = u < NARROW
        log_u = math.log(2 * HALF) - self.log_scale
        width = torch.where(wide, log_u - u / 2, torch.log(-torch.expm1(-torch.where(wide, 1.0, u))))
        inside = (x >= HALF) & (x <= 1 - HALF)
        return summed(
            torch.logsumexp(self.log_weights + log_cdf + log_survival + torch.where(inside, width, 0.0), dim=1)
        )


@register_likelihood(
    config=LogisticConfig,
    paper="Kingma et al. 2016, arXiv:1606.04934; Salimans et al. 2017, PixelCNN++, arXiv:1701.05517, equation 2",
)
class LogisticHead(LikelihoodHead):
    """The outputs are locations, log scales and, for a mixture, the logits of its weights."""

    def forward(self, output: Tensor) -> DiscretisedLogistic:
        """Return p(x|z) of outputs (B, outputs*C, H, W)."""
        m = self.config.components
        parts = output.unflatten(1, (self.config.outputs, -1))  # (B, outputs, C, H, W)
        mu, log_scale = parts[:, :m], parts[:, m : 2 * m].clamp(min=MIN_LOG_SCALE)
        log_weights = parts[:, 2 * m :].log_softmax(dim=1) if m > 1 else torch.zeros_like(mu)
        return DiscretisedLogistic(log_weights, mu, log_scale)
