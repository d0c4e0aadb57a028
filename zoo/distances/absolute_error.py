r"""The absolute error sum |x - mean| over channels and pixels, which charges large errors less than their square.

.. math::
    d(x, \hat x) = \sum_i |x_i - \hat x_i|
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from zoo.distances import Distance
from zoo.models.likelihoods import Likelihood
from zoo.models.numerics import summed
from zoo.registry import register_distance
from zoo.schema.base import DistanceConfig


class AbsoluteErrorConfig(DistanceConfig):
    """Absolute error of the mean image, summed over pixels."""

    name: Literal["absolute_error"] = "absolute_error"


@register_distance(config=AbsoluteErrorConfig)
class AbsoluteError(Distance):
    """The absolute error of the mean image."""

    unit = "absolute error per image"

    def __init__(self, config: AbsoluteErrorConfig) -> None:
        super().__init__()

    def forward(self, x: Tensor, likelihood: Likelihood) -> Tensor:
        """Return sum |x - mean|: (B,)."""
        return summed((x - likelihood.location).abs())
