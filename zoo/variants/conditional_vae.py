"""The conditional VAE (Sohn et al. 2015), fully connected: encoder and decoder take the image's label as well."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.models import Autoencoder
from zoo.networks.mlp import MLPSizes, mlp
from zoo.registry import register_variant
from zoo.schema.base import ImageShape, Size, VariantConfig
from zoo.variants._assembled import on_network


class ConditionalVAEConfig(MLPSizes, VariantConfig):
    """Fully connected VAE that is given the image's label at encoder and decoder."""

    variant: Literal["conditional_vae"] = "conditional_vae"
    latent_dim: Size = Field(20, description="Dimensions of the code.")
    classes: Size = Field(10, description="The number of labels; labels are whole numbers below it.")


@register_variant(
    config=ConditionalVAEConfig,
    paper="Sohn et al. 2015, Learning Structured Output Representation Using Deep Conditional Generative Models, NIPS",
    tiny={"hidden": [32], "latent_dim": 4},
)
def conditional_vae(config: ConditionalVAEConfig, shape: ImageShape) -> Autoencoder:
    """Build (C*H*W + classes) - hidden - (mu, logvar), (latent_dim + classes) - decoder's hidden - C*H*W."""
    return on_network(config, shape, mlp(config, shape, config.classes), config.latent_dim)
