"""The contract of a network: layers from images to features, and from codes back to images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from zoo.errors import ZooError
from zoo.registry import NETWORKS
from zoo.schema.base import ImageShape, NetworkConfig


@dataclass(frozen=True)
class Network:
    """Layers from images to features and from codes back to images; a variant puts the code between them."""

    encoder: list[nn.Module]
    """Layers from images (B, C, H, W) to features (B, *features)."""
    features: tuple[int, ...]
    """The shape of the features: (F,), or (F, h, w) where they are a map."""
    decoder: Callable[[int, ImageShape], list[nn.Module]]
    """A function to the layers from a code to outputs (B, *shape): of the code's dimensions, or its channels where it
    is a map, and of the outputs' shape (C, H, W), which has the height and width of the images."""
    initialise: Callable[[nn.Module], None] | None = None
    """A function that sets the initial weights of each layer of the finished model, or None for torch's."""
    grid: Network | None = None
    """The same network with a map of features, for codes that are a grid; None if it has none."""
    flat_input: bool = False
    """True if the encoder takes its images flat, with what they are conditioned on behind them; else that is a channel
    for each value."""


def build_network(config: NetworkConfig, shape: ImageShape, condition: int = 0) -> Network:
    """Build the layers that a config describes.

    Args:
        config: the settings of the network.
        shape: the shape of images (C, H, W).
        condition: the number of values, such as one-hot labels, that each image and each code come with.

    Raises:
        ZooError: the network cannot take such images.
    """
    network: Network = NETWORKS.get(config.name).build(config, shape, *([condition] if condition else []))
    return _with_spectral_norms(network) if config.spectral_norm else network


def _with_spectral_norms(network: Network) -> Network:
    """Divide the weights of the decoder's layers by their largest singular values, which each pass estimates better."""

    def decoder(code: int, shape: ImageShape) -> list[nn.Module]:
        layers = network.decoder(code, shape)
        for module in (module for layer in layers for module in layer.modules()):
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                spectral_norm(module)
        return layers

    return replace(network, decoder=decoder, grid=network.grid and _with_spectral_norms(network.grid))


def build_grid(config: NetworkConfig, shape: ImageShape, condition: int = 0) -> Network:
    """Build the layers with a map of features, as :func:`build_network` does.

    Raises:
        ZooError: the network cannot take such images, or has no map of features.
    """
    grid = build_network(config, shape, condition).grid
    if grid is None:
        raise ZooError(
            f"the network {config.name!r} has no map of features for a grid of codes; choose conv, conv_pool or "
            "residual"
        )
    return grid


def halved(shape: ImageShape, times: int, name: str) -> ImageShape:
    """Return ``shape`` with height and width halved ``times`` times.

    Raises:
        ZooError: height or width cannot be halved that often without a remainder.
    """
    c, h, w = shape
    factor = 2**times
    if h % factor or w % factor:
        raise ZooError(
            f"the network {name!r} halves the image {times} times, so height and width must be multiples of {factor}; "
            f"got {h}x{w} (resize the images, or halve them less often)"
        )
    return c, h // factor, w // factor
