"""A Gaussian whose dimensions are independent given the image (Kingma & Welling 2014)."""

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
