"""A code without noise: the linear code of a plain autoencoder.

An image has one code, and no density around it, so that there is neither a KL nor an ELBO.

.. math::
    z = W h(x) + b
"""

from __future__ import annotations

from typing import ClassVar, Literal

from zoo.models import DeterministicHead
from zoo.registry import register_posterior
from zoo.schema.base import PosteriorConfig


class PointConfig(PosteriorConfig):
    """A point: a linear map of the features, without noise."""

    STOCHASTIC: ClassVar[bool] = False

    name: Literal["point"] = "point"


@register_posterior(config=PointConfig, paper="Hinton & Salakhutdinov 2006, Science 313")
def point(config: PointConfig, features: int, latent_dim: int) -> DeterministicHead:
    """Build the linear map from features to codes."""
    return DeterministicHead(features, latent_dim)
