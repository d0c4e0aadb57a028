r"""The KL is held at a capacity that rises in the course of a training (Burgess et al. 2018, equation 8).

The rate of the code is not weighed but given: C nats, more of them with every epoch, so that the factors of the images
enter the code one after the other. The KL is a mean over the batch, and single images may have more or less. At C = 0
this is a beta-VAE with beta = gamma.

.. math::
    \mathcal{L} = -\mathbb{E}_q[\log p(x|z)] + \gamma\,\Big|\frac1B\sum_{i=1}^{B}\mathrm{KL}\big(q(z|x_i)\,\|\,p(z)\big)
    - C(t)\Big|, \qquad C(t) = C_{\max}\min(1, t/T)
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.models.autoencoder import Model
from zoo.models.bounds import elbo_terms
from zoo.objectives import Objective, Terms
from zoo.registry import register_objective
from zoo.schema.base import NonNegative, ObjectiveConfig, Positive


class CapacityConfig(ObjectiveConfig):
    """Reconstruction, and the distance of the KL from a capacity that rises."""

    name: Literal["capacity"] = "capacity"
    gamma: NonNegative = Field(1000.0, description="The weight of the distance.")
    capacity: NonNegative = Field(25.0, description="The KL to arrive at, in nats per image.")
    epochs: Positive = Field(20.0, description="The number of epochs in which the capacity rises from 0.")


@register_objective(
    config=CapacityConfig, paper="Burgess et al. 2018, Understanding disentangling in beta-VAE, arXiv:1804.03599"
)
class Capacity(Objective):
    """The loss is reconstruction + gamma |KL - C|, the KL a mean over the batch: images may differ."""

    def __init__(self, config: CapacityConfig) -> None:
        super().__init__()
        self.config, self.annealed, self.trains_prior = config, config.epochs, config.gamma > 0

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction``, ``kl`` and the ``capacity`` C, in nats per image."""
        reconstructions, kls = elbo_terms(model, x)
        reconstruction, kl = reconstructions.mean(), kls.mean()
        capacity = self.config.capacity * torch.clamp(epoch / self.config.epochs, max=1.0)
        loss = reconstruction + self.config.gamma * (kl - capacity).abs()
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl, "capacity": capacity}
