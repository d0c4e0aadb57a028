"""A network of fully connected layers, with an activation after each hidden one.

Without hidden layers encoder and decoder are linear maps.

.. math::
    h_{l+1} = a(W_l h_l + b_l)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import prod
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.models.layers import Dropout
from zoo.networks._base import Network
from zoo.registry import register_network
from zoo.schema.base import ADDED_LATER, ImageShape, NetworkConfig, Probability, Section, Sizes

Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "softplus", "elu"]
ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.2),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "elu": nn.ELU,
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
    gated: Annotated[bool, ADDED_LATER] = Field(
        False,
        description="Hidden layers of h * sigmoid(g), h and g linear, in place of an activation (Dauphin et al. 2017).",
    )
    batch_norm: Annotated[bool, ADDED_LATER] = Field(
        False, description="BatchNorm in each hidden layer, before the activation."
    )
    dropout: Annotated[Probability, ADDED_LATER] = Field(
        0.0, description="Probability that a unit of the encoder's hidden layers is dropped."
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
        return [*hidden_layers(outward, config), nn.Linear(outward[-1], prod(shape)), nn.Unflatten(1, shape)]

    flatten = [] if condition else [nn.Flatten()]
    encoder = [*flatten, *hidden_layers(sizes, config, config.dropout)]
    return Network(encoder, (sizes[-1],), decoder, flat_input=True)


class Gated(nn.Module):
    """A linear layer whose outputs are gated by those of another: h * sigmoid(g)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.h, self.g = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return h(x) * sigmoid(g(x)), (B, outputs), of x (B, inputs)."""
        gated: Tensor = self.h(x) * torch.sigmoid(self.g(x))
        return gated


def hidden_layers(sizes: Sequence[int], config: MLPSizes, dropout: float = 0.0) -> list[nn.Module]:
    """Return the hidden layers that a config describes between successive ``sizes``."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers.append(Gated(inputs, outputs) if config.gated else nn.Linear(inputs, outputs))
        layers += [nn.BatchNorm1d(outputs)] if config.batch_norm else []
        layers += [] if config.gated else [ACTIVATIONS[config.activation]()]
        layers += [Dropout(dropout)] if dropout else []
    return layers


def dense(sizes: Sequence[int], activation: Activation = "relu") -> list[nn.Module]:
    """Return linear layers between successive ``sizes``, an activation after each."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return layers


def mirrored(hidden: Sequence[int], decoder_hidden: Sequence[int] | None) -> Sequence[int]:
    """Return the decoder's hidden sizes: the encoder's in reverse where nothing else is asked for."""
    return hidden[::-1] if decoder_hidden is None else decoder_hidden
