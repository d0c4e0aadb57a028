r"""A Gaussian that is fitted to the codes of the training images once training is over (Ghosh et al. 2020).

A plain autoencoder says nothing of how its codes are distributed; a density estimated afterwards makes it a generative
model. Mean and covariance are those of the training codes, with 1/N. Until then it is N(0, I).

.. math::
    p(z) = \mathcal{N}\big(z;\ \bar z,\ \mathrm{Cov}[z]\big)
"""

from __future__ import annotations

from typing import Literal

from zoo.models import FittedGaussian
from zoo.registry import register_prior
from zoo.schema.base import ImageShape, PriorConfig


class FittedGaussianConfig(PriorConfig):
    """A Gaussian with full covariance, fitted to the training codes after training."""

    name: Literal["fitted_gaussian"] = "fitted_gaussian"


@register_prior(config=FittedGaussianConfig, paper="Ghosh et al. 2020, arXiv:1903.12436, section 4")
def fitted_gaussian(config: FittedGaussianConfig, latent_dim: int, shape: ImageShape) -> FittedGaussian:
    """Build the Gaussian; until it is fitted it is N(0, I)."""
    return FittedGaussian(latent_dim)
