"""The contract of a network: layers from images to features, and from codes back to images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

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
    decoder: Callable[[int], list[nn.Module]]
    """A function from the dimensions of a code, or its channels where it is a map, to the layers that end in
    (B, C, H, W)."""
    initialise: Callable[[nn.Module], None] | None = None
    """A function that sets the initial weights of each layer of the finished model, or None for torch's."""


def build_network(config: NetworkConfig, shape: ImageShape) -> Network:
    """Build the layers that a config describes, for images of ``shape`` (C, H, W).

    Raises:
        ZooError: the network cannot take such images.
    """
    network: Network = NETWORKS.get(config.name).build(config, shape)
    return network


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
