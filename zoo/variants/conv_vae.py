"""The convolutional VAE: ``vae`` on the network ``conv``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.models import Autoencoder
from zoo.networks.conv import ConvSizes, conv
from zoo.registry import register_variant
from zoo.schema.base import ImageShape, Size, VariantConfig
from zoo.variants._assembled import on_network


class ConvVAEConfig(ConvSizes, VariantConfig):
    """VAE with strided convolutions and a Gaussian code."""

    variant: Literal["conv_vae"] = "conv_vae"
    latent_dim: Size = Field(20, description="Dimensions of the code.")


@register_variant(
    config=ConvVAEConfig,
    paper="Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114",
    tiny={"channels": [4, 8], "latent_dim": 4},
)
def conv_vae(config: ConvVAEConfig, shape: ImageShape) -> Autoencoder:
    """Build Conv k3 s2 per channel count, hidden, (mu, logvar); decoder's hidden, ConvTranspose s2 mirrored."""
    return on_network(config, shape, conv(config, shape, config.classes), config.latent_dim)
