r"""The loss of a plain autoencoder: the distance between an image and its reconstruction.

Nothing else is asked of the code, so that it holds whatever helps to reconstruct.

.. math::
    \mathcal{L}(x) = d(x, \hat x(z))
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from zoo.models.autoencoder import Model
from zoo.objectives import DistanceObjective, DistanceObjectiveConfig, Terms
from zoo.registry import register_objective


class ReconstructionConfig(DistanceObjectiveConfig):
    """The distance between an image and its reconstruction, nothing else."""

    name: Literal["reconstruction"] = "reconstruction"


@register_objective(
    config=ReconstructionConfig,
    paper="Hinton & Salakhutdinov 2006, Science 313",
)
class Reconstruction(DistanceObjective):
    """The loss is the distance per image."""

    trains_prior = False

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss`` and ``reconstruction``, which are the same."""
        reconstruction = self.compared(x, model.decode(model.encode(x).rsample()))
        return {"loss": reconstruction, "reconstruction": reconstruction}
