"""The variational autoencoder with fully connected layers (Kingma & Welling 2014): ``vae`` on the network ``mlp``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.models import Autoencoder
from zoo.networks.mlp import MLPSizes, mlp
from zoo.registry import register_variant
from zoo.schema.base import ImageShape, Size, VariantConfig
from zoo.variants._assembled import on_network


class LinearVAEConfig(MLPSizes, VariantConfig):
    """Fully connected VAE with a Gaussian code."""

    variant: Literal["linear_vae"] = "linear_vae"
    latent_dim: Size = Field(20, description="Dimensions of the code.")


@register_variant(
    config=LinearVAEConfig,
    paper="Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114",
    tiny={"hidden": [32], "latent_dim": 4},
)
def linear_vae(config: LinearVAEConfig, shape: ImageShape) -> Autoencoder:
    """Build C*H*W - hidden - (mu, logvar), latent_dim - decoder's hidden - C*H*W."""
    return on_network(config, shape, mlp(config, shape, config.classes), config.latent_dim)
