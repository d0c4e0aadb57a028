"""The VAE with BatchNorm, LeakyReLU, max-pooling and dropout: ``vae`` on the network ``conv_pool``.

It follows GenZoo's MNIST VAE (ayushtues/GenZoo, 2019). The sizes, the order and the initialisation are kept as
published. Two mistakes are corrected: a code is sampled by the same rule everywhere, and generation runs in eval
mode.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.models import Autoencoder
from zoo.networks.conv_pool import ConvPoolSizes, conv_pool
from zoo.registry import register_variant
from zoo.schema.base import ImageShape, Size, VariantConfig
from zoo.variants._assembled import on_network


class BatchNormVAEConfig(ConvPoolSizes, VariantConfig):
    """Convolutional VAE with BatchNorm, LeakyReLU, max-pooling and dropout."""

    variant: Literal["bn_vae"] = "bn_vae"
    latent_dim: Size = Field(20, description="Dimensions of the code.")


@register_variant(
    config=BatchNormVAEConfig,
    paper="Kingma & Welling 2014, arXiv:1312.6114; sizes from github.com/ayushtues/GenZoo (VAE, 83db871)",
    tiny={"channels": [2, 4, 2], "hidden": [16], "latent_dim": 4},
)
def bn_vae(config: BatchNormVAEConfig, shape: ImageShape) -> Autoencoder:
    """Build three convolutions and an MLP down to (mu, logvar); linear maps, three transposed convolutions back up."""
    return on_network(config, shape, conv_pool(config, shape, config.classes), config.latent_dim)
