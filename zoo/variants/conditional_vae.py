"""The conditional VAE (Sohn et al. 2015), fully connected: encoder and decoder take the image's label as well."""

from __future__ import annotations

from math import prod

from pydantic import Field

from zoo.autoencoder import Autoencoder
from zoo.distributions import StandardNormal
from zoo.layers import Conditioned, GaussianCode, mlp_decoder, mlp_encoder
from zoo.registry import register_variant
from zoo.schema.base import FullyConnectedConfig, ImageShape, Size


class ConditionalVAEConfig(FullyConnectedConfig):
    """Sizes of the conditional VAE."""

    classes: Size = Field(10, description="Labels are whole numbers below this.")


@register_variant(
    "conditional_vae",
    config=ConditionalVAEConfig,
    summary="fully connected VAE that is given the image's label at encoder and decoder",
    paper="Sohn et al. 2015, Learning Structured Output Representation Using Deep Conditional Generative Models, NIPS",
)
def build(config: ConditionalVAEConfig, shape: ImageShape) -> Autoencoder:
    """(C*H*W + classes) - hidden - (mu, logvar), (latent_dim + classes) - decoder's hidden - C*H*W."""
    encoder = Conditioned(*mlp_encoder(config, prod(shape) + config.classes, GaussianCode))
    decoder = Conditioned(*mlp_decoder(config, config.latent_dim + config.classes, shape))
    prior = StandardNormal(config.latent_dim)
    return Autoencoder(shape, encoder, decoder, prior, config.likelihood, classes=config.classes)
