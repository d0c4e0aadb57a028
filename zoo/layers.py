"""The pieces that variants are assembled from: code layers, a plain MLP, and the arithmetic of halved images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from zoo.distributions import Deterministic, DiagonalGaussian, at_least_float32
from zoo.errors import ZooError
from zoo.schema.base import Activation, FullyConnectedConfig, ImageShape


class DeterministicCode(nn.Module):
    """Features (B, F) → a code (B, D) without noise, by one linear map."""

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.code = nn.Linear(features, latent_dim)

    def forward(self, h: Tensor) -> Deterministic:
        """q(z|x)."""
        return Deterministic(self.code(h))


class GaussianCode(nn.Module):
    """Features (B, F) → N(mu, diag(exp(logvar))) over codes (B, D), by two linear maps."""

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.mu = nn.Linear(features, latent_dim)
        self.logvar = nn.Linear(features, latent_dim)

    def forward(self, h: Tensor) -> DiagonalGaussian:
        """q(z|x)."""
        return DiagonalGaussian(at_least_float32(self.mu(h)), at_least_float32(self.logvar(h)))


class Residual(nn.Module):
    """h + layer(h)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, h: Tensor) -> Tensor:
        """The shape stays."""
        output: Tensor = h + self.layer(h)
        return output


CodeLayer = Callable[[int, int], nn.Module]
"""Number of features, number of code dimensions → a layer that makes a posterior."""


class Conditioned(nn.Sequential):
    """Layers that take a condition (B, Y), such as a one-hot label, beside their flattened input."""

    def forward(self, h: Tensor, condition: Tensor) -> Any:  # type: ignore[override]
        """h: (B, ...)."""
        return super().forward(torch.cat([h.flatten(1), condition], dim=1))


ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.2),
    "tanh": nn.Tanh,
}


def mlp(sizes: Sequence[int], activation: Activation = "relu") -> list[nn.Module]:
    """Linear layers through ``sizes``, an activation after each."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return layers


def mlp_encoder(config: FullyConnectedConfig, inputs: int, code: CodeLayer) -> list[nn.Module]:
    """Flat inputs (B, I) → hidden layers → a code."""
    sizes = (inputs, *config.hidden)
    return [*mlp(sizes, config.activation), code(sizes[-1], config.latent_dim)]


def mlp_decoder(config: FullyConnectedConfig, inputs: int, shape: ImageShape) -> list[nn.Module]:
    """Codes (B, I) → hidden layers → (B, C, H, W)."""
    sizes = (inputs, *mirrored(config.hidden, config.decoder_hidden))
    return [*mlp(sizes, config.activation), nn.Linear(sizes[-1], prod(shape)), nn.Unflatten(1, shape)]


def mirrored(hidden: Sequence[int], decoder_hidden: Sequence[int] | None) -> Sequence[int]:
    """The decoder's hidden layers: the encoder's in reverse where nothing else is asked for."""
    return hidden[::-1] if decoder_hidden is None else decoder_hidden


def halved(shape: ImageShape, times: int, variant: str) -> ImageShape:
    """``shape`` with height and width halved ``times`` times.

    Raises:
        ZooError: height or width cannot be halved that often without a rest.
    """
    c, h, w = shape
    factor = 2**times
    if h % factor or w % factor:
        raise ZooError(
            f"{variant} halves the image {times} times, so height and width must be multiples of {factor}; "
            f"got {h}x{w} (resize the images, or halve them less often)"
        )
    return c, h // factor, w // factor
