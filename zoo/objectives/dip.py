"""The DIP-VAE: the covariance of the codes is drawn to the identity (Kumar et al. 2018, equations 6 and 7).

The loss is -E_q[log p(x|z)] + KL + lambda_od sum_{i≠j} C_ij² + lambda_d sum_i (C_ii - 1)². For kind I, C is the
covariance of mu over the batch, with 1/B; for kind II, that plus the batch's mean of diag(sigma²), the covariance of z.
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
