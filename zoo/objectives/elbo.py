r"""The negative evidence lower bound with a weight beta on the KL term, constant or annealed.

The decoder reconstructs an image from one draw z ~ q(z|x), and the KL keeps q(z|x) near the prior, so that codes drawn
from the prior decode to images. beta = 1 is the bound on log p(x) (Kingma & Welling 2014); more trades likelihood for a
simpler code (Higgins et al. 2017). The factor a(t) of epoch t is 1, or it rises from 0, once or again and again.

.. math::
    \mathcal{L}(x) = -\mathbb{E}_{q(z|x)}[\log p(x|z)] + \beta\, a(t)\, \mathrm{KL}\big(q(z|x)\,\|\,p(z)\big)
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.models.autoencoder import Model
from zoo.models.bounds import elbo_terms
from zoo.objectives import Objective, Terms
from zoo.registry import register_objective
from zoo.schema.base import NonNegative, ObjectiveConfig, Positive, Section


class Constant(Section):
    """beta is constant."""

    name: Literal["constant"] = "constant"

    @property
    def whole(self) -> float:
        """The number of epochs after which the factor is 1: none."""
        return 0.0

    def factor(self, epoch: Tensor) -> Tensor:
        """Return the factor of beta: 1."""
        return torch.ones_like(epoch)


class Linear(Section):
    """beta rises from 0 to its value in the first epochs (Bowman et al. 2016)."""

    name: Literal["linear"] = "linear"
    epochs: Positive = Field(description="The number of epochs that the rise takes.")

    @property
    def whole(self) -> float:
        """The number of epochs after which the factor is 1."""
        return self.epochs

    def factor(self, epoch: Tensor) -> Tensor:
        """Return the factor of beta: min(1, epoch / epochs)."""
        return torch.clamp(epoch / self.epochs, max=1.0)


class Cyclical(Section):
    """beta rises from 0 to its value again and again (Fu et al. 2019)."""

    name: Literal["cyclical"] = "cyclical"
    period: Positive = Field(description="Epochs from one rise to the next.")
    rise: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="The part of a period in which beta rises; it stays at its value for the rest."
    )

    @property
    def whole(self) -> float:
        """The number of epochs after which the factor is 1 for the first time."""
        return self.period * (self.rise if self.rise < 1 else 1 - 1e-6)

    def factor(self, epoch: Tensor) -> Tensor:
        """Return the factor of beta: min(1, position in the period / rise)."""
        return torch.clamp((epoch / self.period).frac() / self.rise, max=1.0)


class ELBOConfig(ObjectiveConfig):
    """Negative evidence lower bound, beta on the KL term, constant or annealed."""

    name: Literal["elbo"] = "elbo"
    beta: NonNegative = Field(1.0, description="1 is the evidence lower bound; more asks for a simpler code.")
    annealing: Annotated[Constant | Linear | Cyclical, Field(discriminator="name")] = Field(
        Constant(), description="The factor that beta is multiplied by in the course of a training."
    )


@register_objective(
    config=ELBOConfig,
    paper="Kingma & Welling 2014, arXiv:1312.6114; Higgins et al. 2017, beta-VAE, ICLR",
)
class ELBO(Objective):
    """The loss is reconstruction + beta * kl, in nats per image."""

    def __init__(self, config: ELBOConfig) -> None:
        super().__init__()
        self.beta, self.annealing = config.beta, config.annealing
        self.annealed, self.trains_prior = config.annealing.whole, config.beta > 0

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction`` (-log p(x|z)) and the unweighted ``kl``."""
        reconstructions, kls = elbo_terms(model, x)
        reconstruction, kl = reconstructions.mean(), kls.mean()
        return {
            "loss": reconstruction + self.beta * self.annealing.factor(epoch) * kl,
            "reconstruction": reconstruction,
            "kl": kl,
        }
