"""A linear model with Gaussian code and pixels: the one autoencoder whose likelihood has a closed form."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.datasets import ImageSet
from zoo.likelihoods.bernoulli import BernoulliConfig
from zoo.likelihoods.gaussian import Gaussian
from zoo.models.autoencoder import Autoencoder
from zoo.models.posteriors import DiagonalGaussian
from zoo.models.priors import StandardNormal
from zoo.schema.base import DatasetConfig, ImageShape

SHAPE = (1, 4, 4)


class LinearGaussian(Autoencoder):
    """p(z) = N(0, I), p(x|z) = N(W z + b, s^2 I); W has orthogonal columns, so that the true posterior is diagonal.

    Args:
        blur: how much wider than the true posterior the encoder's is, as a factor of its variance; 1: as wide.
        shift: how far the encoder's mean lies from the true one, in its standard deviations.
    """

    def __init__(self, dim: int = 3, s2: float = 0.05, blur: float = 1.0, shift: float = 0.0) -> None:
        super().__init__(SHAPE, nn.Identity(), nn.Identity(), StandardNormal(dim), BernoulliConfig())
        generator = torch.Generator().manual_seed(0)
        basis = torch.linalg.qr(torch.randn(16, dim, generator=generator)).Q
        self.W = nn.Parameter(basis * torch.linspace(0.4, 0.9, dim))  # (16, D)
        self.b = nn.Parameter(torch.full((16,), 0.5))
        self.s2, self.blur, self.shift = s2, blur, shift

    def encode(self, x: Tensor, labels: Tensor | None = None) -> DiagonalGaussian:
        precision = 1 + self.W.square().sum(dim=0) / self.s2  # (D,), of the true posterior
        mean = (x.flatten(1) - self.b) @ self.W / self.s2 / precision
        logvar = -precision.log() + math.log(self.blur)
        return DiagonalGaussian(mean + self.shift * precision.rsqrt(), logvar.expand_as(mean))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Gaussian:
        return Gaussian((z @ self.W.T + self.b).unflatten(1, SHAPE), self.s2)

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(x), exactly: (B,)."""
        covariance = self.W @ self.W.T + self.s2 * torch.eye(16)
        return torch.distributions.MultivariateNormal(self.b, covariance).log_prob(x.flatten(1)).detach()


class Pixels(DatasetConfig):
    """Settings of images that are given to a test."""

    SHAPE: ClassVar[ImageShape] = SHAPE

    name: str = "pixels"


def drawn(model: LinearGaussian, n: int, seed: int = 12345) -> ImageSet:
    """Images from the model, as far as 256 levels allow; not with the seed of the noise that they are measured with."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, model.prior.latent_dim, generator=generator)
    noise = model.s2**0.5 * torch.randn(n, 16, generator=generator)
    x = (z @ model.W.T + model.b + noise).detach().clamp(0, 1)
    return ImageSet((x * 255).round().to(torch.uint8).unflatten(1, SHAPE))
