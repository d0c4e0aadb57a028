r"""A Gaussian whose dimensions are independent given the image (Kingma & Welling 2014).

The encoder gives a mean and a variance for each dimension of the code, and a draw is a differentiable function of both.
Against N(0, I) the KL has a closed form.

.. math::
    z = \mu(x) + \sigma(x)\odot\varepsilon,\quad \varepsilon\sim\mathcal{N}(0, I), \qquad
    \mathrm{KL} = \frac12\sum_{d=1}^{D}\big(\mu_d^2 + \sigma_d^2 - \log\sigma_d^2 - 1\big)
"""

from __future__ import annotations

from typing import Literal

from zoo.models import GaussianHead
from zoo.registry import register_posterior
from zoo.schema.base import PosteriorConfig


class GaussianConfig(PosteriorConfig):
    """N(mu, diag(sigma^2)), mu and log sigma^2 linear maps of the features."""

    name: Literal["gaussian"] = "gaussian"


@register_posterior(config=GaussianConfig, paper="Kingma & Welling 2014, arXiv:1312.6114, section 3")
def gaussian(config: GaussianConfig, features: int, latent_dim: int) -> GaussianHead:
    """Build the two linear maps from features to mu and log sigma^2."""
    return GaussianHead(features, latent_dim)
