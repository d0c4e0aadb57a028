"""The plain autoencoder (Hinton & Salakhutdinov 2006): fully connected, a linear code, no noise."""

from __future__ import annotations

from math import prod

from pydantic import Field
from torch import nn

from zoo.autoencoder import Autoencoder
from zoo.distributions import FittedGaussian
from zoo.layers import DeterministicCode, mlp_decoder, mlp_encoder
from zoo.registry import register_variant
from zoo.schema.base import FullyConnectedConfig, ImageShape, Size, Sizes


class AEConfig(FullyConnectedConfig):
    """Sizes of the plain autoencoder."""

    hidden: Sizes = Field((512,), description="Units of the encoder's hidden layers.")
    latent_dim: Size = Field(32, description="Dimensions of the code.")


@register_variant(
    "ae",
    config=AEConfig,
    summary="fully connected autoencoder with a linear code",
    paper="Hinton & Salakhutdinov 2006, Reducing the Dimensionality of Data with Neural Networks, Science 313",
)
def build(config: AEConfig, shape: ImageShape) -> Autoencoder:
    """C*H*W - hidden - latent_dim - decoder's hidden - C*H*W."""
    encoder = nn.Sequential(nn.Flatten(), *mlp_encoder(config, prod(shape), DeterministicCode))
    decoder = nn.Sequential(*mlp_decoder(config, config.latent_dim, shape))
    return Autoencoder(shape, encoder, decoder, FittedGaussian(config.latent_dim), config.likelihood)
