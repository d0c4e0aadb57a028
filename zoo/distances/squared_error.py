r"""The squared error SE = sum (x - mean)^2 over channels and pixels: -2 log p(x|z) of pixels of unit variance.

.. math::
    d(x, \hat x) = \sum_i (x_i - \hat x_i)^2
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from zoo.distances import Distance
from zoo.models.likelihoods import Likelihood
from zoo.models.numerics import summed
from zoo.registry import register_distance
from zoo.schema.base import DistanceConfig


class SquaredErrorConfig(DistanceConfig):
    """Squared error of the mean image, summed over pixels."""

    name: Literal["squared_error"] = "squared_error"


@register_distance(config=SquaredErrorConfig)
class SquaredError(Distance):
    """The squared error of the mean image."""

    unit = "squared error per image"

    def __init__(self, config: SquaredErrorConfig) -> None:
        super().__init__()

    def forward(self, x: Tensor, likelihood: Likelihood) -> Tensor:
        """Return sum (x - mean)^2: (B,)."""
        return summed((x - likelihood.location).square())
