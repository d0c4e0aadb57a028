"""A network of fully connected layers, with an activation after each hidden one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import prod
from typing import Literal

from pydantic import Field
from torch import nn

from zoo.networks._base import Network
from zoo.registry import register_network
from zoo.schema.base import ImageShape, NetworkConfig, Section, Sizes

Activation = Literal["relu", "leaky_relu", "tanh"]
ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.2),
    "tanh": nn.Tanh,
}
"""The module of each activation."""


class MLPSizes(Section):
    """Sizes of fully connected layers."""

    hidden: Sizes = Field((400,), description="Units of the encoder's hidden layers.")
    decoder_hidden: Sizes | None = Field(
        None, description="Units of the decoder's hidden layers; `null`: the encoder's in reverse."
    )
    activation: Activation = Field(
        "relu", description="The activation after each hidden layer; `leaky_relu` has slope 0.2."
    )


class MLPConfig(MLPSizes, NetworkConfig):
    """Fully connected layers."""

    name: Literal["mlp"] = "mlp"


@register_network(config=MLPConfig)
def mlp(config: MLPSizes, shape: ImageShape, condition: int = 0) -> Network:
    """Build C*H*W - hidden, and back from the code by the decoder's hidden layers.

    Args:
        config: the sizes.
        shape: the shape of images (C, H, W).
        condition: the number of values that follow each image and each code; unless 0, the encoder takes flat images.
    """
    pixels = prod(shape)
    sizes = (pixels + condition, *config.hidden)

    def decoder(code: int, shape: ImageShape) -> list[nn.Module]:
        outward = (code + condition, *mirrored(config.hidden, config.decoder_hidden))
        return [*dense(outward, config.activation), nn.Linear(outward[-1], prod(shape)), nn.Unflatten(1, shape)]

    flatten = [] if condition else [nn.Flatten()]
    return Network([*flatten, *dense(sizes, config.activation)], (sizes[-1],), decoder, flat_input=True)


def dense(sizes: Sequence[int], activation: Activation = "relu") -> list[nn.Module]:
    """Return linear layers between successive ``sizes``, an activation after each."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return layers


def mirrored(hidden: Sequence[int], decoder_hidden: Sequence[int] | None) -> Sequence[int]:
    """Return the decoder's hidden sizes: the encoder's in reverse where nothing else is asked for."""
    return hidden[::-1] if decoder_hidden is None else decoder_hidden
