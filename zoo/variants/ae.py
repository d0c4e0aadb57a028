"""The plain autoencoder (Hinton & Salakhutdinov 2006): fully connected, a linear code, no noise."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from zoo.models import Autoencoder, DeterministicHead, FittedGaussian
from zoo.networks.mlp import MLPSizes, mlp
from zoo.registry import register_variant
from zoo.schema.base import ImageShape, Size, Sizes, VariantConfig


class AEConfig(MLPSizes, VariantConfig):
    """Fully connected autoencoder with a linear code."""

    variant: Literal["ae"] = "ae"
    hidden: Sizes = Field((512,), description="Units of the encoder's hidden layers.")
    latent_dim: Size = Field(32, description="Dimensions of the code.")


@register_variant(
    config=AEConfig,
    paper="Hinton & Salakhutdinov 2006, Reducing the Dimensionality of Data with Neural Networks, Science 313",
    objective="reconstruction",
    tiny={"hidden": [32], "latent_dim": 4},
)
def ae(config: AEConfig, shape: ImageShape) -> Autoencoder:
    """Build C*H*W - hidden - latent_dim - decoder's hidden - C*H*W."""
    network = mlp(config, shape)
    encoder = nn.Sequential(*network.encoder, DeterministicHead(network.features[0], config.latent_dim))
    decoder = nn.Sequential(*network.decoder(config.latent_dim))
    return Autoencoder(shape, encoder, decoder, FittedGaussian(config.latent_dim), config.likelihood)
