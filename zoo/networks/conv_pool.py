"""Convolutions with LeakyReLU, max-pooling, BatchNorm and dropout, after GenZoo's MNIST VAE (ayushtues/GenZoo, 2019).

The order in a block is convolution, LeakyReLU, max-pooling, BatchNorm. The decoder has BatchNorm but no activation.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field
from torch import nn

from zoo.models.layers import Dropout
from zoo.networks._base import Network, halved
from zoo.registry import register_network
from zoo.schema.base import ImageShape, NetworkConfig, Probability, Section, Size, Sizes


class ConvPoolSizes(Section):
    """Sizes of convolutions with max-pooling."""

    channels: tuple[Size, Size, Size] = Field(
        (16, 32, 16),
        description="Output channels of the three convolutions; after the first two, max-pooling halves the image.",
    )
    hidden: Sizes = Field(
        (512, 256), description="Units of the encoder's fully connected layers; the decoder mirrors them."
    )
    dropout: Probability = Field(
        0.2, description="Probability that a feature is dropped, in the encoder's fully connected part."
    )


class ConvPoolConfig(ConvPoolSizes, NetworkConfig):
    """Convolutions with BatchNorm, LeakyReLU, max-pooling and dropout."""

    name: Literal["conv_pool"] = "conv_pool"


@register_network(config=ConvPoolConfig)
def conv_pool(config: ConvPoolSizes, shape: ImageShape, condition: int = 0) -> Network:
    """Build three convolutions and an MLP down; linear maps and three transposed convolutions back up."""
    c, h, w = halved(shape, 2, "conv_pool")
    c1, c2, c3 = config.channels
    sizes = (c3 * h * w, *config.hidden)

    trunk: list[nn.Module] = [
        *(
            nn.Conv2d(c + condition, c1, 3, padding=1),
            nn.LeakyReLU(),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(c1),
        ),  # (B, c1, 2h, 2w)
        *(nn.Conv2d(c1, c2, 3, padding=1), nn.LeakyReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(c2)),  # (B, c2, h, w)
        nn.Conv2d(c2, c3, 3, padding=1),  # (B, c3, h, w)
    ]
    encoder = [*trunk, nn.Flatten(), Dropout(config.dropout)]
    for inputs, outputs in pairwise(sizes):
        encoder += [nn.Linear(inputs, outputs), nn.LeakyReLU(), Dropout(config.dropout)]
    encoder.append(nn.BatchNorm1d(sizes[-1]))

    def decoder(code: int, shape: ImageShape) -> list[nn.Module]:
        outward = (code + condition, *reversed(sizes))
        linear = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(outward)]
        return [*linear, nn.Unflatten(1, (c3, h, w)), *upward(shape)]

    def grid_decoder(code: int, shape: ImageShape) -> list[nn.Module]:
        return [nn.Conv2d(code + condition, c3, 1), *upward(shape)]

    def upward(shape: ImageShape) -> list[nn.Module]:
        return [
            *(nn.ConvTranspose2d(c3, c2, 3, padding=1), nn.BatchNorm2d(c2)),  # (B, c2, h, w)
            *(nn.ConvTranspose2d(c2, c1, (h + 1, w + 1)), nn.BatchNorm2d(c1)),  # stride 1: (B, c1, 2h, 2w)
            nn.ConvTranspose2d(c1, shape[0], (2 * h + 1, 2 * w + 1)),  # (B, c, 4h, 4w)
        ]

    grid = Network(trunk, (c3, h, w), grid_decoder, initialise)
    return Network(encoder, (sizes[-1],), decoder, initialise, grid)


def initialise(layer: nn.Module) -> None:
    """Set the initial weights of the source: Xavier-normal, with bias 0 in linear and 0.01 in convolution layers.

    Transposed convolutions keep torch's.
    """
    if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
        nn.init.xavier_normal_(layer.weight)
        nn.init.constant_(layer.bias, 0.01 if isinstance(layer, nn.Conv2d) else 0.0)
