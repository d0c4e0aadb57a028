"""Posteriors q(z|x), what an encoder returns, and the heads that turn features into them.

Every density is in nats, one value per image. B images, D latent dimensions, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.models.inputs import check_numbers
from zoo.models.noise import NoiseSource, normal_like
from zoo.models.numerics import LOG_2PI, at_least_float32
from zoo.models.priors import Prior, StandardNormal

ACTIVE_VARIANCE = 0.01
"""A dimension counts as used where its posterior mean varies more than this over the images (Burda et al. 2016)."""

MOST_FEATURES_AT_ONCE = 1024
"""The most features from which a :class:`GaussianHead` in training mode computes both maps as one product, with two
gradients in place of four. On an H200 that took 9 of 94 us off a compiled step with 400 features (docs/performance.md);
with 3,136 a step took 4 us more: there are more weights to put side by side."""


class Posterior(Protocol):
    """A distribution over codes for each of B images."""

    stochastic: ClassVar[bool]
    """True if the posterior has a density, and with it a KL divergence and an ELBO."""

    @property
    def mean(self) -> Tensor:
        """The mean code of each image, (B, D)."""

    def rsample(self, *shape: int, noise: NoiseSource | None = None) -> Tensor:
        """Draw codes (*shape, B, D), differentiable in the distribution's parameters.

        The random numbers come from ``noise``; None: from the generators of this thread.
        """

    def draw(self, *shape: int, noise: NoiseSource | None = None) -> tuple[Tensor, Tensor]:
        """Draw codes as :meth:`rsample` does, and return them with their log q(z|x), (*shape, B) nats."""

    def kl_per_dimension(self, prior: Prior) -> Tensor | None:
        """Return the parts of KL(q(z|x) || p(z)), (B, parts) nats, whose sum it is: one for each dimension of the code.

        None where the two have no closed form: then log q(z|x) - log p(z) of codes that are drawn estimates the sum.
        """

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z|x), (..., B) nats, of codes (..., B, D), or (..., 1, D): one for all of the images."""


@runtime_checkable
class HasCodeUsage(Protocol):
    """A posterior that can measure how much of what a code can hold is used."""

    @property
    def code(self) -> Tensor:
        """The values that identify the code, (B, ...): its mean, or its indices in a codebook."""

    @staticmethod
    def usage(codes: Tensor) -> dict[str, float]:
        """Return metrics by name of the codes (N, ...) of many images."""


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mu, diag(exp(logvar))) over codes (Kingma & Welling 2014)."""

    stochastic: ClassVar[bool] = True

    mu: Tensor  # (B, D)
    logvar: Tensor  # (B, D), log sigma^2

    @property
    def mean(self) -> Tensor:
        """The mean mu, (B, D)."""
        return self.mu

    @property
    def code(self) -> Tensor:
        """The mean mu, (B, D)."""
        return self.mu

    @staticmethod
    def usage(codes: Tensor) -> dict[str, float]:
        """Count ``active_units``: dimensions whose mean has a variance above 0.01 (Burda et al. 2016, section 5.1)."""
        return {"active_units": float((codes.var(dim=0, correction=0) > ACTIVE_VARIANCE).sum())}

    def rsample(self, *shape: int, noise: NoiseSource | None = None) -> Tensor:
        """Draw mu + sigma * epsilon with epsilon ~ N(0, I): (*shape, B, D)."""
        check_numbers(shape)
        epsilon = normal_like(self.mu.expand(*shape, *self.mu.shape), noise)
        return self.mu + torch.exp(0.5 * self.logvar) * epsilon

    def draw(self, *shape: int, noise: NoiseSource | None = None) -> tuple[Tensor, Tensor]:
        """Draw codes and return them with their log-density: (*shape, B, D) and (*shape, B)."""
        z = self.rsample(*shape, noise=noise)
        return z, self.log_prob(z)

    def kl_per_dimension(self, prior: Prior) -> Tensor | None:
        """Return -1/2 (1 + logvar - mu^2 - exp(logvar)), (B, D) nats, if p(z) is N(0, I) (appendix B)."""
        if type(prior) is not StandardNormal:
            return None
        return -0.5 * (1 + self.logvar - self.mu.square() - self.logvar.exp())

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of codes, (..., B, D) → (..., B) nats."""
        squared = (z - self.mu).square() * torch.exp(-self.logvar)
        return -0.5 * (squared + self.logvar + LOG_2PI).sum(dim=-1)


NO_KL = (
    "a deterministic code has no KL divergence and no ELBO; train this variant with the objective 'reconstruction', or "
    "choose a variational one"
)


@dataclass(frozen=True)
class Deterministic:
    """A code without noise: all mass on one point."""

    stochastic: ClassVar[bool] = False

    code: Tensor  # (B, D)

    @property
    def mean(self) -> Tensor:
        """The code itself, (B, D)."""
        return self.code

    def rsample(self, *shape: int, noise: NoiseSource | None = None) -> Tensor:
        """Repeat the code, as there is nothing to draw: (*shape, B, D)."""
        check_numbers(shape)
        return self.code.expand(*shape, *self.code.shape)

    def draw(self, *shape: int, noise: NoiseSource | None = None) -> tuple[Tensor, Tensor]:
        """Refuse: a point mass has no density.

        Raises:
            ZooError: always.
        """
        raise ZooError(NO_KL)

    def kl_per_dimension(self, prior: Prior) -> Tensor | None:
        """Refuse: a point mass has no finite KL to a density.

        Raises:
            ZooError: always.
        """
        raise ZooError(NO_KL)

    def log_prob(self, z: Tensor) -> Tensor:
        """Refuse: a point mass has no density.

        Raises:
            ZooError: always.
        """
        raise ZooError("a deterministic code has no density")


class DeterministicHead(nn.Module):
    """A linear map from features (B, F) to a code (B, D) without noise."""

    deterministic: ClassVar[bool] = True

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.code = nn.Linear(features, latent_dim)

    def forward(self, h: Tensor) -> Deterministic:
        """Return q(z|x) of features h (B, F)."""
        return Deterministic(at_least_float32(self.code(h)))


class GaussianHead(nn.Module):
    """Two linear maps from features (B, F) to N(mu, diag(exp(logvar))) over codes (B, D)."""

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.mu = nn.Linear(features, latent_dim)
        self.logvar = nn.Linear(features, latent_dim)

    def forward(self, h: Tensor) -> DiagonalGaussian:
        """Return q(z|x) of features h (B, F)."""
        layers = self.mu, self.logvar
        if not self.training or h.shape[-1] > MOST_FEATURES_AT_ONCE or not all(map(_only_linear, layers)):
            return DiagonalGaussian(at_least_float32(self.mu(h)), at_least_float32(self.logvar(h)))
        weight, bias = torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
        mu, logvar = at_least_float32(F.linear(h, weight, bias)).chunk(2, dim=-1)
        return DiagonalGaussian(mu, logvar)


def _only_linear(layer: nn.Module) -> bool:
    """Return whether calling a layer does nothing but a product: it is not parametrized, and nobody hooks into it."""
    return type(layer) is nn.Linear and not (layer._forward_pre_hooks or layer._forward_hooks or layer._backward_hooks)
