"""The variational autoencoder with fully connected layers (Kingma & Welling 2014)."""

from __future__ import annotations

from math import prod

from pydantic import Field
from torch import nn

from zoo.autoencoder import Autoencoder
from zoo.configs import ImageShape, Size, Sizes, VariantConfig
from zoo.distributions import StandardNormal
from zoo.layers import GaussianCode, mlp, mlp_decoder
from zoo.registry import register_variant


class LinearVAEConfig(VariantConfig):
    """Sizes of the fully connected VAE."""

    hidden: Sizes = Field((400,), description="Units of the encoder's hidden layers; the decoder mirrors them.")
    latent_dim: Size = Field(20, description="Dimensions of the code.")


@register_variant(
    "linear_vae",
    config=LinearVAEConfig,
    summary="fully connected VAE with a Gaussian code",
    paper="Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114",
)
def build(config: LinearVAEConfig, shape: ImageShape) -> Autoencoder:
    """C*H*W - hidden - (mu, logvar), latent_dim - mirrored hidden - C*H*W."""
    sizes = (prod(shape), *config.hidden)
    encoder = nn.Sequential(
        nn.Flatten(),  # (B, C*H*W)
        *mlp(sizes),
        GaussianCode(sizes[-1], config.latent_dim),  # mu, logvar: (B, D)
    )
    decoder = mlp_decoder(config.latent_dim, config.hidden, shape)
    return Autoencoder(shape, encoder, decoder, StandardNormal(config.latent_dim), config.likelihood)
