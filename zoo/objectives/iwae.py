"""The importance-weighted bound of K samples: log p(x) >= E[log 1/K sum_k p(x, z_k) / q(z_k|x)] (Burda et al. 2016).

The mean over the K weights is taken before the logarithm, so the best of the samples counts most; K = 1 is the evidence
lower bound with a sampled KL term. The bound rises with K towards log p(x).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.models.autoencoder import Model
from zoo.models.bounds import importance_terms
from zoo.objectives import Objective, Terms
from zoo.registry import register_objective
from zoo.schema.base import ObjectiveConfig


class IWAEConfig(ObjectiveConfig):
    """The importance-weighted bound with k samples of z for each image."""

    name: Literal["iwae"] = "iwae"
    k: Annotated[int, Field(ge=1, le=10_000)] = Field(50, description="Samples of z for each image.")


@register_objective(
    config=IWAEConfig,
    paper="Burda, Grosse & Salakhutdinov 2016, Importance Weighted Autoencoders, arXiv:1509.00519, equation 8",
)
class IWAE(Objective):
    """The loss is -log 1/K sum_k w_k with w_k = p(x|z_k) p(z_k) / q(z_k|x), in nats per image."""

    def __init__(self, config: IWAEConfig) -> None:
        super().__init__()
        self.k = config.k

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss`` and the means over samples of ``reconstruction``, -log p(x|z), and ``kl``, log q(z|x) / p(z).

        For K > 1 the loss is less than the sum of the two.
        """
        reconstruction, kl = importance_terms(model, x, model.encode(x), self.k)
        loss = -(torch.logsumexp(-reconstruction - kl, dim=0) - math.log(self.k)).mean()
        return {"loss": loss, "reconstruction": reconstruction.mean(), "kl": kl.mean()}
