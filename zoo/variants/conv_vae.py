"""The convolutional VAE: strided convolutions down to a Gaussian code, transposed convolutions back up."""

from __future__ import annotations

from math import prod
from typing import Literal

from pydantic import Field
from torch import nn

from zoo.autoencoder import Autoencoder
from zoo.distributions import StandardNormal
from zoo.layers import GaussianCode, halved, mirrored, mlp
from zoo.registry import register_variant
from zoo.schema.base import ImageShape, Size, Sizes, VariantConfig


class ConvVAEConfig(VariantConfig):
    """Sizes of the convolutional VAE."""

    channels: Sizes = Field(
        (32, 64),
        description="Output channels of the encoder's convolutions, each halving the image; the decoder mirrors them.",
    )
    neck: Size | None = Field(
        None,
        description="Channels of a convolution over the whole map, without an activation, after the others; the "
        "decoder begins with a transposed one.",
    )
    hidden: Sizes = Field((), description="Units of fully connected layers between the convolutions and the code.")
    decoder_hidden: Sizes | None = Field(
        None, description="Units of those between the code and the decoder's convolutions; `null`: in reverse."
    )
    decoder_kernel: Literal[3, 4] = Field(4, description="Side of the transposed convolutions' kernels.")
    latent_dim: Size = Field(20, description="Dimensions of the code.")


@register_variant(
    "conv_vae",
    config=ConvVAEConfig,
    summary="VAE with strided convolutions and a Gaussian code",
    paper="Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114",
)
def build(config: ConvVAEConfig, shape: ImageShape) -> Autoencoder:
    """Conv k3 s2 per channel count, hidden, (mu, logvar); decoder's hidden, ConvTranspose s2 mirrored."""
    c, h, w = halved(shape, len(config.channels), "conv_vae")
    channels = (c, *config.channels)
    features = (channels[-1], h, w)
    neck = (config.neck, 1, 1) if config.neck else features
    encoder = nn.Sequential()
    for inputs, outputs in zip(channels, channels[1:], strict=False):
        encoder.extend([nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()])  # (B, outputs, H/2, W/2)
    if config.neck:
        encoder.append(nn.Conv2d(channels[-1], config.neck, (h, w)))  # (B, neck, 1, 1)
    sizes = (prod(neck), *config.hidden)
    encoder.extend([nn.Flatten(), *mlp(sizes), GaussianCode(sizes[-1], config.latent_dim)])  # mu, logvar: (B, D)

    sizes = (config.latent_dim, *mirrored(config.hidden, config.decoder_hidden))
    decoder = nn.Sequential(*mlp(sizes), nn.Linear(sizes[-1], prod(neck)), nn.Unflatten(1, neck))
    if config.neck:
        decoder.append(nn.ConvTranspose2d(config.neck, channels[-1], (h, w)))  # (B, C, h, w)
    rest = config.decoder_kernel % 2  # of the output, which an odd kernel would leave one pixel short of twice the size
    for inputs, outputs in zip(channels[:0:-1], channels[-2::-1], strict=True):
        upsample = nn.ConvTranspose2d(inputs, outputs, config.decoder_kernel, 2, padding=1, output_padding=rest)
        decoder.extend([nn.ReLU(), upsample])  # (B, outputs, 2H, 2W)
    return Autoencoder(shape, encoder, decoder, StandardNormal(config.latent_dim), config.likelihood)
