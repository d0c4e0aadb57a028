r"""The loss of a regularised autoencoder: reconstruction and the length of the code (Ghosh et al. 2020, equation 11).

A decoder that is smooth needs no noise in its code: the length of the code is bounded by a term, and the smoothness is
chosen apart from it. `spectral_norm` of a network divides the decoder's weights, and needs no term. Codes to sample
from are drawn from a density that is fitted to those of the training images.

.. math::
    \mathcal{L}(x) = d(x, \hat x) + \frac{\beta}{2}\,\|z\|^2
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from zoo.models.autoencoder import Model
from zoo.objectives import DistanceObjective, DistanceObjectiveConfig, Terms
from zoo.registry import register_objective
from zoo.schema.base import NonNegative


class RAEConfig(DistanceObjectiveConfig):
    """Reconstruction and the squared length of the code."""

    name: Literal["rae"] = "rae"
    beta: NonNegative = Field(1.15, description="The weight of half the squared length of the code.")


@register_objective(config=RAEConfig, paper="Ghosh et al. 2020, arXiv:1903.12436, equations 8 to 12")
class RAE(DistanceObjective):
    """The loss is distance + beta/2 |z|^2, per image."""

    trains_prior = False

    def __init__(self, config: RAEConfig) -> None:
        super().__init__(config)
        self.beta = config.beta

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction`` and half the squared length of the code, ``half_norm``."""
        z = model.encode(x).rsample()
        reconstruction, half_norm = self.compared(x, model.decode(z)), 0.5 * z.square().sum(dim=1).mean()
        return {
            "loss": reconstruction + self.beta * half_norm,
            "reconstruction": reconstruction,
            "half_norm": half_norm,
        }
