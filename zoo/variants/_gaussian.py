"""Code that the variants with a Gaussian code share."""

from __future__ import annotations

from torch import nn

from zoo.models import Autoencoder, GaussianHead, StandardNormal
from zoo.networks import Network
from zoo.schema.base import ImageShape, VariantConfig


def gaussian_vae(config: VariantConfig, shape: ImageShape, network: Network, latent_dim: int) -> Autoencoder:
    """Build a VAE with a Gaussian code of ``latent_dim`` dimensions on a network whose features are flat."""
    (features,) = network.features
    model = Autoencoder(
        shape,
        encoder=nn.Sequential(*network.encoder, GaussianHead(features, latent_dim)),
        decoder=nn.Sequential(*network.decoder(latent_dim)),
        prior=StandardNormal(latent_dim),
        likelihood=config.likelihood,
    )
    if network.initialise:
        model.apply(network.initialise)
    return model
