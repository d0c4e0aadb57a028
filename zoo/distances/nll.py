r"""The negative log-likelihood -log p(x|z), whatever likelihood the model has.

.. math::
    d(x, \hat x) = -\log p(x|z)
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from zoo.distances import Distance
from zoo.models.likelihoods import Likelihood
from zoo.registry import register_distance
from zoo.schema.base import DistanceConfig


class NLLConfig(DistanceConfig):
    """Negative log p(x|z) under the model's likelihood, in nats."""

    name: Literal["nll"] = "nll"


@register_distance(config=NLLConfig)
class NLL(Distance):
    """The negative log-likelihood, in nats."""

    unit = "nats per image"
    trains_likelihood = True

    def __init__(self, config: NLLConfig) -> None:
        super().__init__()

    def forward(self, x: Tensor, likelihood: Likelihood) -> Tensor:
        """Return -log p(x|z): (B,)."""
        return -likelihood.log_prob(x)
