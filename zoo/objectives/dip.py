r"""The DIP-VAE: the covariance of the codes is drawn to the identity (Kumar et al. 2018, equations 6 and 7).

Codes of independent dimensions have no covariances, which can be measured in a batch without any estimate of q(z). For
kind I, C is the covariance of mu over the batch, with 1/B; for kind II it is that of z, with the mean of the variances
on its diagonal. The penalty is of the batch and does not grow with it; in small batches, sampling gives
it a floor of about (lambda_od D(D - 1) + 2 lambda_d D)/B.

.. math::
    \mathcal{L} = -\mathbb{E}_q[\log p(x|z)] + \mathrm{KL}\big(q(z|x)\,\|\,p(z)\big)
    + \lambda_{od}\sum_{i\ne j} C_{ij}^2 + \lambda_d\sum_i (C_{ii}-1)^2

.. math::
    C^{\mathrm{I}} = \mathrm{Cov}_B[\mu], \qquad
    C^{\mathrm{II}} = \mathrm{Cov}_B[\mu] + \frac1B\sum_{i=1}^{B}\mathrm{diag}(\sigma_i^2)

The authors try lambda_od from 1 to 50, and have lambda_d = 10 lambda_od for kind I, lambda_d = lambda_od for kind II.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.models.autoencoder import Model
from zoo.models.bounds import elbo_terms
from zoo.models.numerics import at_least_float32, product_in_32_bits
from zoo.objectives import Objective, Terms
from zoo.objectives._codes import gaussian
from zoo.registry import register_objective
from zoo.schema.base import NonNegative, ObjectiveConfig


class DIPConfig(ObjectiveConfig):
    """Negative ELBO, and the distance of the codes' covariance from the identity."""

    name: Literal["dip"] = "dip"
    kind: Literal["I", "II"] = Field(
        "II", description="The covariance that is drawn to the identity: of the means (`I`), or of the codes (`II`)."
    )
    off_diagonal: NonNegative = Field(10.0, description="The weight λ_od of the squared covariances.")
    diagonal: NonNegative | None = Field(
        None,
        description="The weight λ_d of the squared distances of the variances from 1; `null`: ten times "
        "`off_diagonal` for kind I, the same for kind II.",
    )


@register_objective(
    config=DIPConfig,
    paper="Kumar et al. 2018, Variational Inference of Disentangled Latent Concepts, ICLR, arXiv:1711.00848",
)
class DIP(Objective):
    """The loss is reconstruction + kl + off_diagonal * covariance + diagonal * variance, the last two of the batch."""

    unit = "nats per image; covariance and variance of a batch"
    of_batch = True

    def __init__(self, config: DIPConfig) -> None:
        super().__init__()
        self.kind, self.off_diagonal = config.kind, config.off_diagonal
        usual = config.off_diagonal * (10 if config.kind == "I" else 1)
        self.diagonal = usual if config.diagonal is None else config.diagonal

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction``, ``kl``, and the unweighted ``covariance`` and ``variance``.

        Raises:
            ZooError: the code is not Gaussian.
        """
        posterior = gaussian(model.encode(x), "dip")
        reconstruction, kl = (term.mean() for term in elbo_terms(model, x, posterior))
        c = covariance(posterior.mu)
        if self.kind == "II":
            c = c + torch.diag(posterior.logvar.exp().mean(dim=0))
        off = (c - torch.diag(c.diagonal())).square().sum()
        variance = (c.diagonal() - 1).square().sum()
        return {
            "loss": reconstruction + kl + self.off_diagonal * off + self.diagonal * variance,
            "reconstruction": reconstruction,
            "kl": kl,
            "covariance": off,
            "variance": variance,
        }


def covariance(mu: Tensor) -> Tensor:
    """Return the covariance of codes (B, D) over the batch, 1/B sum_i (mu_i - mean)(mu_i - mean)^T: (D, D)."""
    centred = at_least_float32(mu)
    centred = centred - centred.mean(dim=0)
    with torch.autocast("cpu" if centred.is_meta else centred.device.type, enabled=False):
        return product_in_32_bits(centred.T, centred) / len(centred)
