"""A Gaussian that is deformed by invertible maps, whose parameters may depend on the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from zoo.errors import NotApplicable
from zoo.models import DiagonalGaussian, GaussianHead, NoiseSource, Prior
from zoo.models.numerics import at_least_float32
from zoo.schema.base import PosteriorConfig, Size

Flow = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A map of codes (..., B, D) to others, and log|det| of its Jacobian, (..., B)."""


class FlowConfig(PosteriorConfig):
    """Settings of a posterior that is a Gaussian deformed by flows."""

    flows: Size = Field(4, description="The number of maps that follow each other.")


@dataclass(frozen=True)
class Deformed:
    """The distribution of f(z_0), z_0 ~ N(mu, diag(sigma^2)); its density is known of the codes that it draws."""

    stochastic: ClassVar[bool] = True

    base: DiagonalGaussian
    flow: Flow

    @property
    def mean(self) -> Tensor:
        """The code f(mu), (B, D): the image of the mean, not the mean of the images."""
        return self.flow(self.base.mean)[0]

    @property
    def code(self) -> Tensor:
        """The code f(mu), (B, D)."""
        return self.mean

    usage = staticmethod(DiagonalGaussian.usage)

    def rsample(self, *shape: int, noise: NoiseSource | None = None) -> Tensor:
        """Draw codes f(z_0), (*shape, B, D)."""
        return self.flow(self.base.rsample(*shape, noise=noise))[0]

    def draw(self, *shape: int, noise: NoiseSource | None = None) -> tuple[Tensor, Tensor]:
        """Draw codes and return them with log q_0(z_0) - log|det|: (*shape, B, D) and (*shape, B)."""
        start, log_q = self.base.draw(*shape, noise=noise)
        z, log_det = self.flow(start)
        return z, log_q - log_det

    def kl_per_dimension(self, prior: Prior) -> Tensor | None:
        """Return None: there is no closed form."""
        return None

    def log_prob(self, z: Tensor) -> Tensor:
        """Refuse: the density of a code that it has not drawn would need the inverse of the maps.

        Raises:
            NotApplicable: always.
        """
        raise NotApplicable("a posterior of flows has a density of its own samples only")


class FlowHead(nn.Module):
    """A code layer that ends in maps whose parameters are linear in the features.

    Args:
        features: the number F of features.
        latent_dim: the dimensions D of the code.
        parameters: the numbers that ``flow`` takes for each image.
        flow: a function of these numbers (B, parameters) that returns the map.
    """

    def __init__(self, features: int, latent_dim: int, parameters: int, flow: Callable[[Tensor], Flow]) -> None:
        super().__init__()
        self.base = GaussianHead(features, latent_dim)
        self.parameters_of = nn.Linear(features, parameters)
        self.flow = flow

    def forward(self, h: Tensor) -> Any:
        """Return q(z|x) of features h (B, F)."""
        return Deformed(self.base(h), self.flow(at_least_float32(self.parameters_of(h))))
