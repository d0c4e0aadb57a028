r"""A sparse autoencoder: few of the code's dimensions are used for one image (Ng 2011, CS294A, sections 3 and 4).

A code may have more dimensions than an image needs if only a few of them are far from 0 at a time; each then stands for
something that some images have. The penalty `l1` is of each image. The penalty `kl` is of the batch: it is 0 where
every dimension is active in the share rho of the images.

.. math::
    \mathcal{L} = d(x, \hat x) + \lambda\,\Omega, \qquad
    \Omega_{\mathrm{l1}} = \sum_d |z_d|, \qquad
    \Omega_{\mathrm{kl}} = \sum_d \rho\log\frac{\rho}{\hat\rho_d} + (1-\rho)\log\frac{1-\rho}{1-\hat\rho_d}, \qquad
    \hat\rho_d = \frac1B\sum_{i=1}^{B}\mathrm{sigmoid}(z_{id})

Ng has rho = 0.05 and the weight 3 beside half the squared error, which is 6 beside the squared error.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from zoo.models.autoencoder import Model
from zoo.models.numerics import at_least_float32
from zoo.objectives import DistanceObjective, DistanceObjectiveConfig, Terms
from zoo.registry import register_objective
from zoo.schema.base import NonNegative, Section


class L1(Section):
    """The sum of the code's absolute values, per image."""

    name: Literal["l1"] = "l1"

    def of(self, z: Tensor) -> Tensor:
        """Return the mean over the batch of sum_d |z_d| of codes (B, D)."""
        return z.abs().sum(dim=1).mean()


class KL(Section):
    """The divergence of the dimensions' mean activations from a small one."""

    name: Literal["kl"] = "kl"
    rho: Annotated[float, Field(gt=0, lt=1)] = Field(0.05, description="The mean activation ρ that is asked for.")

    def of(self, z: Tensor) -> Tensor:
        """Return sum_d KL(Bernoulli(rho) || Bernoulli(rho_d)) of codes (B, D), with rho_d the mean of sigmoid(z_d)."""
        count = math.log(len(z))  # in logarithms: activations of 0 and 1 do not overflow
        log_on = torch.logsumexp(F.logsigmoid(z), dim=0) - count
        log_off = torch.logsumexp(F.logsigmoid(-z), dim=0) - count
        entropy = self.rho * math.log(self.rho) + (1 - self.rho) * math.log(1 - self.rho)
        return (entropy - self.rho * log_on - (1 - self.rho) * log_off).sum()


class SparseConfig(DistanceObjectiveConfig):
    """Reconstruction, and a penalty on codes of which much is used at once."""

    name: Literal["sparse"] = "sparse"
    weight: NonNegative = Field(3.0, description="The weight of the penalty, beside the distance per image.")
    penalty: Annotated[L1 | KL, Field(discriminator="name")] = Field(KL(), description="The measure of sparsity.")


@register_objective(
    config=SparseConfig,
    paper="Ng 2011, Sparse autoencoder, CS294A lecture notes, Stanford",
)
class Sparse(DistanceObjective):
    """The loss is reconstruction + weight * sparsity."""

    trains_prior = False

    def __init__(self, config: SparseConfig) -> None:
        super().__init__(config)
        self.weight, self.penalty = config.weight, config.penalty
        if isinstance(self.penalty, KL):
            self.of_batch = True
            self.unit += "; sparsity of a batch"

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction`` and the unweighted penalty, ``sparsity``."""
        z = model.encode(x).rsample()
        reconstruction = self.compared(x, model.decode(z))
        sparsity = self.penalty.of(at_least_float32(z))
        return {"loss": reconstruction + self.weight * sparsity, "reconstruction": reconstruction, "sparsity": sparsity}
