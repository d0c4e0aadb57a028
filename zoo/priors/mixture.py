r"""A mixture of Gaussians whose means and variances are trained with the model.

Codes may lie in K clusters in place of one; the KL then asks of a code only that it be near some cluster. It has no
closed form, and is taken of the z that is decoded.

.. math::
    p(z) = \sum_{k=1}^{K}\pi_k\,\mathcal{N}\big(z;\ \mu_k,\ \mathrm{diag}(\sigma_k^2)\big)
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.models import Prior
from zoo.priors._mixture import draw, log_density
from zoo.registry import register_prior
from zoo.schema.base import ImageShape, PriorConfig, Size


class MixtureConfig(PriorConfig):
    """A mixture of K Gaussians, trained with the model."""

    name: Literal["mixture"] = "mixture"
    components: Size = Field(10, description="The number K of Gaussians.")


class Mixture(Prior):
    """sum_k pi_k N(mu_k, diag(sigma_k^2)); at the start the means are drawn from N(0, I).

    Args:
        latent_dim: the dimensions D of a code.
        components: the number K of Gaussians.
    """

    def __init__(self, latent_dim: int, components: int) -> None:
        super().__init__(latent_dim)
        self.mu = nn.Parameter(torch.randn(components, latent_dim))
        self.logvar = nn.Parameter(torch.zeros(components, latent_dim))
        self.logits = nn.Parameter(torch.zeros(components))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n codes (n, D)."""
        return draw(self.mu, self.logvar, self.logits.softmax(dim=0), n, generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log sum_k pi_k N(z; mu_k, sigma_k^2), (..., D) → (...) nats."""
        return log_density(z, self.mu, self.logvar, self.logits.log_softmax(dim=0))


@register_prior(
    config=MixtureConfig, paper="Tomczak & Welling 2018, arXiv:1705.07120, section 4 (mixture of Gaussians)"
)
def mixture(config: MixtureConfig, latent_dim: int, shape: ImageShape) -> Mixture:
    """Build the mixture over codes of ``latent_dim`` dimensions."""
    return Mixture(latent_dim, config.components)
