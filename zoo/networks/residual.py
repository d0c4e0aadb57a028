"""A network of two strided convolutions and two residual layers, in the sizes of Jackson-Kang's tutorial.

Kept as published: there is no activation between the strided convolutions.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from zoo.models.layers import Residual, SelfAttention
from zoo.networks._base import Network, halved
from zoo.registry import register_network
from zoo.schema.base import ADDED_LATER, ImageShape, NetworkConfig, Section, Size


class ResidualSizes(Section):
    """Sizes of a residual network."""

    channels: Size = Field(128, description="Channels of every hidden layer.")
    attention: Annotated[bool, ADDED_LATER] = Field(
        False,
        description="Self-attention among the positions of the map, after the encoder's and before the decoder's "
        "residual layers.",
    )


class ResidualConfig(ResidualSizes, NetworkConfig):
    """Two strided convolutions and two residual layers, whose features are a map."""

    name: Literal["residual"] = "residual"


@register_network(config=ResidualConfig)
def residual(config: ResidualSizes, shape: ImageShape, condition: int = 0) -> Network:
    """Build Conv k4 s2 twice, residual k3 and k1; back through ConvTranspose k2 s2 twice."""
    c, h, w = halved(shape, 2, "residual")
    n = config.channels

    def attention() -> list[nn.Module]:
        return [Residual(SelfAttention(n))] if config.attention else []

    trunk = [
        *(nn.Conv2d(c + condition, n, 4, stride=2, padding=1), nn.Conv2d(n, n, 4, stride=2, padding=1)),  # (B, n, h, w)
        *(nn.ReLU(), Residual(nn.Conv2d(n, n, 3, padding=1)), nn.ReLU(), Residual(nn.Conv2d(n, n, 1))),
        *attention(),
    ]

    def decoder(code: int, shape: ImageShape) -> list[nn.Module]:
        return [nn.Linear(code + condition, n * h * w), nn.Unflatten(1, (n, h, w)), *upward(shape)]

    def grid_decoder(code: int, shape: ImageShape) -> list[nn.Module]:
        return [nn.Conv2d(code + condition, n, 1), *upward(shape)]

    def upward(shape: ImageShape) -> list[nn.Module]:
        return [
            *attention(),
            *(Residual(nn.Conv2d(n, n, 1)), nn.ReLU(), Residual(nn.Conv2d(n, n, 3, padding=1)), nn.ReLU()),
            *(nn.ConvTranspose2d(n, n, 2, stride=2), nn.ConvTranspose2d(n, shape[0], 2, stride=2)),  # (B, C, 4h, 4w)
        ]

    grid = Network(trunk, (n, h, w), grid_decoder)
    return Network([*trunk, nn.Flatten()], (n * h * w,), decoder, grid=grid)
