"""The plain autoencoder (Hinton & Salakhutdinov 2006): fully connected, a linear code, no noise."""

from __future__ import annotations

from math import prod

from pydantic import Field
from torch import nn

from zoo.autoencoder import Autoencoder
from zoo.configs import ImageShape, Size, Sizes, VariantConfig
from zoo.distributions import FittedGaussian
from zoo.layers import DeterministicCode, mlp, mlp_decoder
from zoo.registry import register_variant


class AEConfig(VariantConfig):
    """Sizes of the plain autoencoder."""

    hidden: Sizes = Field((512,), description="Units of the encoder's hidden layers; the decoder mirrors them.")
    latent_dim: Size = Field(32, description="Dimensions of the code.")


@register_variant(
    "ae",
    config=AEConfig,
    summary="fully connected autoencoder with a linear code",
    paper="Hinton & Salakhutdinov 2006, Reducing the Dimensionality of Data with Neural Networks, Science 313",
)
def build(config: AEConfig, shape: ImageShape) -> Autoencoder:
    """C*H*W - hidden - latent_dim - mirrored hidden - C*H*W."""
    sizes = (prod(shape), *config.hidden)
    encoder = nn.Sequential(
        nn.Flatten(),  # (B, C*H*W)
        *mlp(sizes),
        DeterministicCode(sizes[-1], config.latent_dim),  # (B, D)
    )
    decoder = mlp_decoder(config.latent_dim, config.hidden, shape)
    return Autoencoder(shape, encoder, decoder, FittedGaussian(config.latent_dim), config.likelihood)
