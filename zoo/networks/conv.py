r"""A network of strided convolutions down and transposed convolutions back up.

With `spectral_norm`, each weight of the decoder is divided by its largest singular value, which bounds how fast what is
decoded can change with the code; with `batch_norm` in between, features are scaled up again.

.. math::
    W \mapsto W / \sigma_{\max}(W)
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from zoo.networks._base import Network, halved
from zoo.networks.mlp import dense, mirrored
from zoo.registry import register_network
from zoo.schema.base import ADDED_LATER, ImageShape, NetworkConfig, Section, Size, Sizes


class ConvSizes(Section):
    """Sizes of strided convolutions."""

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
        None,
        description="Units of the layers between the code and the decoder's convolutions; `null`: `hidden` in reverse.",
    )
    decoder_kernel: Literal[3, 4] = Field(4, description="Side of the transposed convolutions' kernels.")
    batch_norm: Annotated[bool, ADDED_LATER] = Field(
        False, description="BatchNorm between each convolution, or transposed one, and the activation."
    )


class ConvConfig(ConvSizes, NetworkConfig):
    """Strided convolutions down, transposed convolutions back up."""

    name: Literal["conv"] = "conv"


@register_network(config=ConvConfig)
def conv(config: ConvSizes, shape: ImageShape, condition: int = 0) -> Network:
    """Build Conv k3 s2 per channel count, hidden layers; the decoder's hidden layers, ConvTranspose s2 mirrored."""
    c, h, w = halved(shape, len(config.channels), "conv")
    channels = (c + condition, *config.channels)
    innermost = (config.neck, 1, 1) if config.neck else (channels[-1], h, w)

    def norm(channels: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(channels)] if config.batch_norm else []

    trunk: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=not config.batch_norm)
        trunk += [convolution, *norm(outputs), nn.ReLU()]  # (B, outputs, H/2, W/2)
    if config.neck:
        trunk.append(nn.Conv2d(channels[-1], config.neck, (h, w)))  # (B, neck, 1, 1)
    sizes = (prod(innermost), *config.hidden)
    encoder = [*trunk, nn.Flatten(), *dense(sizes)]

    def decoder(code: int, shape: ImageShape) -> list[nn.Module]:
        outward = (code + condition, *mirrored(config.hidden, config.decoder_hidden))
        return [*dense(outward), nn.Linear(outward[-1], prod(innermost)), nn.Unflatten(1, innermost), *upward(shape)]

    def upward(shape: ImageShape) -> list[nn.Module]:
        layers: list[nn.Module] = []
        if config.neck:
            layers.append(nn.ConvTranspose2d(config.neck, channels[-1], (h, w)))  # (B, C, h, w)
        odd = config.decoder_kernel % 2  # an odd kernel would leave the output one pixel short of twice the size
        for inputs, outputs in pairwise((*reversed(config.channels), shape[0])):
            upsample = nn.ConvTranspose2d(inputs, outputs, config.decoder_kernel, 2, padding=1, output_padding=odd)
            layers += [*norm(inputs), nn.ReLU(), upsample]  # (B, outputs, 2H, 2W)
        return layers

    def grid_decoder(code: int, shape: ImageShape) -> list[nn.Module]:
        return [nn.Conv2d(code + condition, innermost[0], 1), *upward(shape)]

    return Network(encoder, (sizes[-1],), decoder, grid=Network(trunk, innermost, grid_decoder))
