"""Reconstruction alone: what a plain autoencoder minimises."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from zoo.autoencoder import Autoencoder
from zoo.configs import ObjectiveConfig
from zoo.objective import Objective, Terms
from zoo.registry import register_objective


class ReconstructionConfig(ObjectiveConfig):
    """How far a reconstruction is from its image."""

    distance: Literal["squared_error", "nll"] = Field(
        "squared_error",
        description="`squared_error`: summed over pixels. `nll`: -log p(x|z) under the model's likelihood, in nats.",
    )


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
        self.distance = config.distance
        self.unit = "nats per image" if config.distance == "nll" else "squared error per image"

    def forward(self, model: Autoencoder, x: Tensor, epoch: Tensor) -> Terms:
        """``loss`` and ``reconstruction``, which are the same."""
        likelihood = model.decode(model.encode(x).rsample())
        if self.distance == "nll":
            reconstruction = -likelihood.log_prob(x).mean()
        else:
            reconstruction = (x - likelihood.mean).square().flatten(1).sum(dim=1).mean()
        return {"loss": reconstruction, "reconstruction": reconstruction}
