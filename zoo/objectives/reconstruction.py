"""The loss of a plain autoencoder: the distance between an image and its reconstruction."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from zoo.models.autoencoder import Model
from zoo.objectives import DistanceConfig, Objective, Terms
from zoo.registry import register_objective


class ReconstructionConfig(DistanceConfig):
    """The distance between an image and its reconstruction, nothing else."""

    name: Literal["reconstruction"] = "reconstruction"


@register_objective(
    config=ReconstructionConfig,
    paper="Hinton & Salakhutdinov 2006, Science 313",
)
class Reconstruction(Objective):
    """The loss is the summed squared error or the negative log-likelihood, per image."""

    def __init__(self, config: ReconstructionConfig) -> None:
        super().__init__()
        self.config, self.unit = config, config.unit

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss`` and ``reconstruction``, which are the same."""
        reconstruction = self.config.between(x, model.decode(model.encode(x).rsample()))
        return {"loss": reconstruction, "reconstruction": reconstruction}
