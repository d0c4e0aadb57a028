"""The variational autoencoder with fully connected layers (Kingma & Welling 2014)."""

from __future__ import annotations

from math import prod

from torch import nn

from zoo.autoencoder import Autoencoder
from zoo.distributions import StandardNormal
from zoo.layers import GaussianCode, mlp_decoder, mlp_encoder
from zoo.registry import register_variant
from zoo.schema.base import FullyConnectedConfig, ImageShape


class LinearVAEConfig(FullyConnectedConfig):
    """Sizes of the fully connected VAE."""


@register_variant(
    "linear_vae",
    config=LinearVAEConfig,
    summary="fully connected VAE with a Gaussian code",
    paper="Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114",
)
def build(config: LinearVAEConfig, shape: ImageShape) -> Autoencoder:
    """C*H*W - hidden - (mu, logvar), latent_dim - decoder's hidden - C*H*W."""
    encoder = nn.Sequential(nn.Flatten(), *mlp_encoder(config, prod(shape), GaussianCode))
    decoder = nn.Sequential(*mlp_decoder(config, config.latent_dim, shape))
    return Autoencoder(shape, encoder, decoder, StandardNormal(config.latent_dim), config.likelihood)
