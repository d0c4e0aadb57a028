"""The pieces that variants are assembled from: code layers, a plain MLP, and the arithmetic of halved images."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from zoo.configs import ImageShape
from zoo.distributions import Deterministic, DiagonalGaussian, in_full
from zoo.errors import ZooError


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
        return DiagonalGaussian(in_full(self.mu(h)), in_full(self.logvar(h)))


def mlp(sizes: Sequence[int]) -> list[nn.Module]:
    """Linear layers through ``sizes``, a ReLU after each."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return layers


def mlp_decoder(latent_dim: int, hidden: Sequence[int], shape: ImageShape) -> nn.Sequential:
    """Codes (B, D) → (B, C, H, W) through an encoder's hidden layers in reverse."""
    sizes = (latent_dim, *reversed(hidden))
    return nn.Sequential(*mlp(sizes), nn.Linear(sizes[-1], prod(shape)), nn.Unflatten(1, shape))


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
