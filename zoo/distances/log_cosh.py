r"""The log-cosh error sum (1/a) log cosh(a t) with t = x - mean (Chen et al. 2019).

It is a t^2 / 2 for small errors and |t| for large ones. log cosh is computed as |at| + softplus(-2 |at|) - log 2, which
does not overflow.

.. math::
    d(x, \hat x) = \sum_i \frac1a\log\cosh\big(a(x_i-\hat x_i)\big)
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from zoo.distances import Distance
from zoo.models.likelihoods import Likelihood
from zoo.models.numerics import log_cosh, summed
from zoo.registry import register_distance
from zoo.schema.base import DistanceConfig, Positive


class LogCoshConfig(DistanceConfig):
    """Log-cosh error of the mean image, summed over pixels: squared where it is small, absolute where it is large."""

    name: Literal["log_cosh"] = "log_cosh"
    a: Positive = Field(10.0, description="The steepness a of (1/a) log cosh(a t); errors t above 1/a count as large.")


@register_distance(
    config=LogCoshConfig,
    paper="Chen et al. 2019, Log Hyperbolic Cosine Loss Improves Variational Auto-Encoder, openreview rkglvsC9Ym",
)
class LogCosh(Distance):
    """The log-cosh error of the mean image."""

    unit = "log-cosh error per image"

    def __init__(self, config: LogCoshConfig) -> None:
        super().__init__()
        self.a = config.a

    def forward(self, x: Tensor, likelihood: Likelihood) -> Tensor:
        """Return sum (1/a) log cosh(a (x - mean)): (B,)."""
        return summed(log_cosh(self.a * (x - likelihood.location)) / self.a)
