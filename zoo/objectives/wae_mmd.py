r"""A Wasserstein autoencoder: the codes of all images together are drawn to the prior, by MMD (Tolstikhin et al. 2018).

Single codes need no noise and no KL; it is enough that all of them together look like draws of the prior. The maximum
mean discrepancy measures that from the B codes of a batch and B draws, without bias, so that it may be negative. The
kernel is a sum over scales s, so that near and far codes both feel it.

.. math::
    \mathcal{L} = d(x, \hat x) + \lambda\,\mathrm{MMD}^2, \qquad
    \mathrm{MMD}^2 = \frac{1}{B(B-1)}\sum_{i\ne j}\big[k(z_i,z_j) + k(\tilde z_i,\tilde z_j)\big]
    - \frac{2}{B^2}\sum_{i,j}k(z_i,\tilde z_j), \qquad \tilde z \sim p(z)

.. math::
    k(z, z') = \sum_s \frac{1}{1 + u_s}\ \text{(imq)}\quad\text{or}\quad \sum_s e^{-u_s}\ \text{(rbf)}, \qquad
    u_s = \frac{\|z - z'\|^2}{2Ds}

The authors' code for MNIST has 0.05 times the squared error and lambda = 10, which is the squared error and weight 200,
with D = 8 and a batch of 100. It first trains the encoder alone to have the prior's mean and covariance, which is left
out here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from zoo.models.autoencoder import Model
from zoo.objectives import DistanceObjective, DistanceObjectiveConfig, Terms
from zoo.objectives._codes import KernelConfig, mmd, prior_draws
from zoo.registry import register_objective
from zoo.schema.base import NonNegative


class WAEMMDConfig(DistanceObjectiveConfig, KernelConfig):
    """Reconstruction, and the maximum mean discrepancy between the batch's codes and the prior."""

    name: Literal["wae_mmd"] = "wae_mmd"
    weight: NonNegative = Field(200.0, description="The weight λ of MMD², beside the distance per image.")


@register_objective(
    config=WAEMMDConfig,
    paper="Tolstikhin, Bousquet, Gelly & Schoelkopf 2018, Wasserstein Auto-Encoders, arXiv:1711.01558",
)
class WAEMMD(DistanceObjective):
    """The loss is reconstruction + weight * mmd; mmd is of the batch, not of an image."""

    trains_prior = False
    of_batch = True

    def __init__(self, config: WAEMMDConfig) -> None:
        super().__init__(config)
        self.config = config
        self.unit = f"{self.unit}; mmd of a batch"

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction`` and the unweighted ``mmd``, an estimate of MMD² that may be negative.

        Raises:
            ZooError: the codes are discrete.
        """
        z = model.encode(x).rsample()
        reconstruction = self.compared(x, model.decode(z))
        found = mmd(z, prior_draws(model, z, "wae_mmd"), self.config)
        return {"loss": reconstruction + self.config.weight * found, "reconstruction": reconstruction, "mmd": found}
