r"""Pixels whose -log p is the log-cosh error (Chen et al. 2019): squared if small, absolute if large.

The error has the gradient of the squared one near 0 and that of the absolute one far away, so that single pixels cannot
dominate. With its normaliser Z, a beta function, it is a density and can be held against others.

.. math::
    \log p(x|z) = -\sum_i \Big[\frac1a\log\cosh\big(a(x_i-\mu_i)\big) + \log Z\Big], \qquad
    Z = \frac1a\,B\Big(\frac{1}{2a},\frac12\Big)

It is computed as |at| + softplus(-2 |at|) - log 2, which does not overflow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field
from torch import Tensor

from zoo.likelihoods import LikelihoodHead
from zoo.likelihoods._base import Located, LocatedConfig
from zoo.models.numerics import log_cosh, summed
from zoo.registry import register_likelihood
from zoo.schema.base import Positive


class LogCoshConfig(LocatedConfig):
    """Independent pixels with the density exp(-log cosh(a t) / a) / Z of their error t."""

    family: Literal["log_cosh"] = "log_cosh"
    a: Positive = Field(10.0, description="The steepness a: errors well below 1/a count squared, those above absolute.")

    @property
    def label(self) -> str:
        """The words that distinguish values under this likelihood in tables."""
        return f"log-cosh {self.a:g}"


@dataclass(frozen=True)
class LogCosh(Located):
    """Independent hyperbolic secant power pixels around mu."""

    a: float

    def log_prob(self, x: Tensor) -> Tensor:
        """Sum -log cosh(a (x - mu)) / a - log Z over the pixels: (B,) nats per image."""
        return -summed(log_cosh(self.a * (x - self.mu)) / self.a + log_normaliser(self.a))


def log_normaliser(a: float) -> float:
    """Return log Z, Z = B(1/(2a), 1/2) / a, the integral of cosh(a t)^(-1/a) over the real line."""
    half = 1 / (2 * a)
    return math.lgamma(half) + math.lgamma(0.5) - math.lgamma(half + 0.5) - math.log(a)


@register_likelihood(config=LogCoshConfig, paper="Chen et al. 2019, Log Hyperbolic Cosine Loss Improves VAE")
class LogCoshHead(LikelihoodHead):
    """The outputs are the locations, or their logits."""

    def forward(self, output: Tensor) -> LogCosh:
        """Return p(x|z) of outputs (B, C, H, W)."""
        return LogCosh(self.config.located(output), self.config.a)
