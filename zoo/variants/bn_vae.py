"""The VAE with BatchNorm, LeakyReLU, max-pooling and dropout, after GenZoo's MNIST VAE (ayushtues/GenZoo, 2019).

Order in a block: convolution, LeakyReLU, max-pooling, BatchNorm. The decoder has BatchNorm but no activation. Kept as
published: the sizes, the order, the initialisation. Put right: a code is sampled with the same rule everywhere, and
generation runs in eval mode.
"""

from __future__ import annotations

from pydantic import Field
from torch import nn

from zoo.autoencoder import Autoencoder
from zoo.distributions import StandardNormal
from zoo.layers import GaussianCode, halved
from zoo.registry import register_variant
from zoo.schema.base import ImageShape, Probability, Size, Sizes, VariantConfig


class BatchNormVAEConfig(VariantConfig):
    """Sizes of the BatchNorm VAE."""

    channels: tuple[Size, Size, Size] = Field(
        (16, 32, 16),
        description="Output channels of the three convolutions; after the first two, max-pooling halves the image.",
    )
    hidden: Sizes = Field(
        (512, 256), description="Units of the encoder's fully connected layers; the decoder mirrors them."
    )
    latent_dim: Size = Field(20, description="Dimensions of the code.")
    dropout: Probability = Field(
        0.2, description="Probability that a feature is dropped, in the encoder's fully connected part."
    )


@register_variant(
    "bn_vae",
    config=BatchNormVAEConfig,
    summary="convolutional VAE with BatchNorm, LeakyReLU, max-pooling and dropout",
    paper="Kingma & Welling 2014, arXiv:1312.6114; sizes from github.com/ayushtues/GenZoo (VAE, 83db871)",
)
def build(config: BatchNormVAEConfig, shape: ImageShape) -> Autoencoder:
    """Three convolutions and an MLP down to (mu, logvar); linear maps and three transposed convolutions back up."""
    c, h, w = halved(shape, 2, "bn_vae")
    c1, c2, c3 = config.channels
    sizes = (c3 * h * w, *config.hidden)

    encoder = nn.Sequential(
        *(nn.Conv2d(c, c1, 3, padding=1), nn.LeakyReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(c1)),  # (B, c1, 2h, 2w)
        *(nn.Conv2d(c1, c2, 3, padding=1), nn.LeakyReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(c2)),  # (B, c2, h, w)
        nn.Conv2d(c2, c3, 3, padding=1),  # (B, c3, h, w)
        nn.Flatten(),
        nn.Dropout(config.dropout),
    )
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        encoder.extend([nn.Linear(inputs, outputs), nn.LeakyReLU(), nn.Dropout(config.dropout)])
    encoder.extend([nn.BatchNorm1d(sizes[-1]), GaussianCode(sizes[-1], config.latent_dim)])  # mu, logvar: (B, D)

    mirrored = (config.latent_dim, *reversed(sizes))
    decoder = nn.Sequential(
        *(nn.Linear(inputs, outputs) for inputs, outputs in zip(mirrored, mirrored[1:], strict=False)),
        nn.Unflatten(1, (c3, h, w)),
        *(nn.ConvTranspose2d(c3, c2, 3, padding=1), nn.BatchNorm2d(c2)),  # (B, c2, h, w)
        *(nn.ConvTranspose2d(c2, c1, (h + 1, w + 1)), nn.BatchNorm2d(c1)),  # stride 1: (B, c1, 2h, 2w)
        nn.ConvTranspose2d(c1, c, (2 * h + 1, 2 * w + 1)),  # (B, c, 4h, 4w)
    )
    model = Autoencoder(shape, encoder, decoder, StandardNormal(config.latent_dim), config.likelihood)
    model.apply(initialise)
    return model


def initialise(layer: nn.Module) -> None:
    """The source's: Xavier-normal weights, bias 0 in linear, 0.01 in convolution layers; transposed ones untouched."""
    if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
        nn.init.xavier_normal_(layer.weight)
        nn.init.constant_(layer.bias, 0.01 if isinstance(layer, nn.Conv2d) else 0.0)
