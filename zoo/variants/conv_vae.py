"""The convolutional VAE: strided convolutions down to a Gaussian code, transposed convolutions back up."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from zoo.autoencoder import Autoencoder
from zoo.configs import ImageShape, Size, Sizes, VariantConfig
from zoo.distributions import StandardNormal
from zoo.layers import GaussianCode, halved
from zoo.registry import register_variant


class ConvVAEConfig(VariantConfig):
    """Sizes of the convolutional VAE."""

    channels: Sizes = Field(
        (32, 64),
        description="Output channels of the encoder's convolutions, each halving the image; the decoder mirrors them.",
    )
    latent_dim: Size = Field(20, description="Dimensions of the code.")


@register_variant(
    "conv_vae",
    config=ConvVAEConfig,
    summary="VAE with strided convolutions and a Gaussian code",
    paper="Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114",
)
def build(config: ConvVAEConfig, shape: ImageShape) -> Autoencoder:
    """Conv k3 s2 per channel count, (mu, logvar), a linear layer back, ConvTranspose k4 s2 mirrored."""
    c, h, w = halved(shape, len(config.channels), "conv_vae")
    sizes = (c, *config.channels)
    features = (sizes[-1], h, w)
    encoder = nn.Sequential()
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        encoder.extend([nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()])  # (B, outputs, H/2, W/2)
    encoder.extend([nn.Flatten(), GaussianCode(sizes[-1] * h * w, config.latent_dim)])  # mu, logvar: (B, D)

    decoder = nn.Sequential(nn.Linear(config.latent_dim, sizes[-1] * h * w), nn.Unflatten(1, features))
    for inputs, outputs in zip(sizes[:0:-1], sizes[-2::-1], strict=True):
        decoder.extend([nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)])  # (B, outputs, 2H, 2W)
    return Autoencoder(shape, encoder, decoder, StandardNormal(config.latent_dim), config.likelihood)
