"""Reconstruction alone: what a plain autoencoder minimises."""

from __future__ import annotations

from torch import Tensor

from zoo.autoencoder import Model
from zoo.objective import DistanceConfig, Objective, Terms
from zoo.registry import register_objective


class ReconstructionConfig(DistanceConfig):
    """How far a reconstruction is from its image."""


@register_objective(
    "reconstruction",
    config=ReconstructionConfig,
    summary="the distance between an image and its reconstruction, nothing else",
    paper="Hinton & Salakhutdinov 2006, Science 313",
)
class Reconstruction(Objective):
    """Summed squared error or negative log-likelihood, per image."""

    def __init__(self, config: ReconstructionConfig) -> None:
        super().__init__()
        self.config, self.unit = config, config.unit

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """``loss`` and ``reconstruction``, which are the same."""
        reconstruction = self.config.between(x, model.decode(model.encode(x).rsample()))
        return {"loss": reconstruction, "reconstruction": reconstruction}
