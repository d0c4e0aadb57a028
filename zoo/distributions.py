"""Posteriors q(z|x), priors p(z) and likelihoods p(x|z). Every density is in nats, one value per image.

A posterior has ``mean``, ``rsample()``, ``kl()`` and ``log_prob(z)``; a prior has ``sample(n)`` and ``log_prob(z)``; a
likelihood has ``mean``, an image in [0, 1], and ``log_prob(x)``, summed over channels and pixels. B images, D latent
dimensions, K codes for each image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import ZooError

LOG_2PI = math.log(2 * math.pi)

ACTIVE = 0.01
"""Variance of a posterior mean over the images from which its dimension counts as used (Burda et al. 2016)."""


def at_least_float32(parameter: Tensor) -> Tensor:
    """A distribution's parameter in 32 bits at least: in bfloat16, noise and KL would be rounded to three digits."""
    return parameter.to(torch.promote_types(parameter.dtype, torch.float32))


class Posterior(Protocol):
    """What an encoder returns: a distribution over codes for each of B images."""

    stochastic: ClassVar[bool]
    """Whether it has a density, and with it a KL divergence and an ELBO."""

    @property
    def mean(self) -> Tensor:
        """(B, D)."""

    def rsample(self, *shape: int, epsilon: Tensor | None = None) -> Tensor:
        """(*shape, B, D), differentiable in the distribution's parameters.

        It is drawn with torch's default generator, or made of standard normal numbers ``epsilon`` (*shape, B, D).
        """

    def kl(self) -> Tensor:
        """(B,), KL(q(z|x) || p(z)) in nats per image."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Codes (..., B, D), or (..., 1, D): one for all of the images → log q(z|x), (..., B) nats."""


@runtime_checkable
class Counted(Protocol):
    """What a posterior may have as well: a measure of how much of what a code can hold is used."""

    @property
    def code(self) -> Tensor:
        """(B, ...), what identifies the code: its mean, or its indices in a codebook."""

    @staticmethod
    def usage(codes: Tensor) -> dict[str, float]:
        """Metrics of the codes (N, ...) of many images."""


class Likelihood(Protocol):
    """What a decoder returns: a distribution over images for each of B codes."""

    @property
    def mean(self) -> Tensor:
        """(B, C, H, W) in [0, 1]."""

    def log_prob(self, x: Tensor) -> Tensor:
        """(B,), log p(x|z) in nats per image: summed over channels and pixels."""


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mu, diag(exp(logvar))) over codes, against the prior N(0, I) (Kingma & Welling 2014, appendix B)."""

    stochastic: ClassVar[bool] = True

    mu: Tensor  # (B, D)
    logvar: Tensor  # (B, D), log sigma^2

    @property
    def mean(self) -> Tensor:
        """(B, D)."""
        return self.mu

    @property
    def code(self) -> Tensor:
        """The mean: (B, D)."""
        return self.mu

    @staticmethod
    def usage(codes: Tensor) -> dict[str, float]:
        """``active_units``: dimensions whose mean has a variance above 0.01 (Burda et al. 2016, section 5.1)."""
        return {"active_units": float((codes.var(dim=0, correction=0) > ACTIVE).sum())}

    def rsample(self, *shape: int, epsilon: Tensor | None = None) -> Tensor:
        """mu + sigma * epsilon, epsilon ~ N(0, I): (*shape, B, D)."""
        epsilon = torch.randn_like(self.mu.expand(*shape, *self.mu.shape)) if epsilon is None else epsilon
        return self.mu + torch.exp(0.5 * self.logvar) * epsilon

    def kl(self) -> Tensor:
        """-1/2 sum_d (1 + logvar - mu^2 - exp(logvar)): (B,) nats."""
        return -0.5 * (1 + self.logvar - self.mu.square() - self.logvar.exp()).sum(dim=1)

    def log_prob(self, z: Tensor) -> Tensor:
        """(..., B, D) → (..., B) nats."""
        squared = (z - self.mu).square() * torch.exp(-self.logvar)
        return -0.5 * (squared + self.logvar + LOG_2PI).sum(dim=-1)


@dataclass(frozen=True)
class Deterministic:
    """A code without noise: all mass on one point."""

    stochastic: ClassVar[bool] = False

    code: Tensor  # (B, D)

    @property
    def mean(self) -> Tensor:
        """(B, D)."""
        return self.code

    def rsample(self, *shape: int, epsilon: Tensor | None = None) -> Tensor:
        """The code itself: (*shape, B, D)."""
        return self.code.expand(*shape, *self.code.shape)

    def kl(self) -> Tensor:
        """A point mass has no finite KL to a density.

        Raises:
            ZooError: always.
        """
        raise ZooError(
            "a deterministic code has no KL divergence and no ELBO; train this variant with the objective "
            "'reconstruction', or choose a variational one"
        )

    def log_prob(self, z: Tensor) -> Tensor:
        """As :meth:`kl`.

        Raises:
            ZooError: always.
        """
        raise ZooError("a deterministic code has no density")


class Prior(nn.Module):
    """p(z) over codes of ``latent_dim`` dimensions."""

    fitted: ClassVar[bool] = False
    """Whether ``fit`` wants the codes of the training images once training is over."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def fit(self, codes: Tensor) -> None:
        """Take from codes (N, D) what has to be estimated: usually, nothing."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n codes (n, D)."""
        raise NotImplementedError

    def log_prob(self, z: Tensor) -> Tensor:
        """Codes (..., D) → log p(z) in nats, (...)."""
        raise NotImplementedError


class StandardNormal(Prior):
    """The prior N(0, I) of a variational autoencoder."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """(n, D), on the generator's device (the CPU without one)."""
        device = generator.device if generator else "cpu"
        return torch.randn(n, self.latent_dim, generator=generator, device=device)

    def log_prob(self, z: Tensor) -> Tensor:
        """-1/2 sum_d (z^2 + log 2 pi): (..., D) → (...) nats."""
        return -0.5 * (z.square() + LOG_2PI).sum(dim=-1)


class FittedGaussian(StandardNormal):
    """N(mean, L L^T), fitted to the training codes of a deterministic autoencoder once it is trained.

    A plain autoencoder has no prior; the density estimated afterwards makes it a generative model
    (Ghosh et al. 2020, "From Variational to Deterministic Autoencoders", arXiv:1903.12436, section 4).
    """

    fitted: ClassVar[bool] = True
    mean: Tensor  # (D,)
    scale_tril: Tensor  # (D, D), the Cholesky factor L

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("scale_tril", torch.eye(latent_dim))

    def fit(self, codes: Tensor) -> None:
        """Take mean and covariance from codes (N, D); unused dimensions are allowed."""
        codes = codes.cpu().double()  # MPS has no float64
        covariance = torch.cov(codes.T, correction=0).reshape(self.latent_dim, self.latent_dim)
        jitter = 1e-6 * covariance.diagonal().mean().clamp(min=1e-12) * torch.eye(self.latent_dim).to(covariance)
        self.mean.copy_(codes.mean(dim=0))
        self.scale_tril.copy_(torch.linalg.cholesky(covariance + jitter))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """mean + L epsilon: (n, D)."""
        epsilon = super().sample(n, generator).to(self.mean)
        return self.mean + epsilon @ self.scale_tril.T

    def log_prob(self, z: Tensor) -> Tensor:
        """(..., D) → (...) nats."""
        normal = torch.distributions.MultivariateNormal(self.mean, scale_tril=self.scale_tril)
        density: Tensor = normal.log_prob(z)
        return density


@dataclass(frozen=True)
class Bernoulli:
    """Independent Bernoulli pixels; -log_prob is the summed binary cross-entropy."""

    logits: Tensor  # (B, C, H, W)

    @property
    def mean(self) -> Tensor:
        """The probabilities: (B, C, H, W) in [0, 1]."""
        return torch.sigmoid(self.logits)

    def log_prob(self, x: Tensor) -> Tensor:
        """(B,) nats per image."""
        return -F.binary_cross_entropy_with_logits(self.logits, x, reduction="none").flatten(1).sum(dim=1)


@dataclass(frozen=True)
class Gaussian:
    """Independent Gaussian pixels of one fixed variance."""

    mean: Tensor  # (B, C, H, W)
    variance: float

    def log_prob(self, x: Tensor) -> Tensor:
        """-(x - mean)^2 / (2 variance) - 1/2 log(2 pi variance), summed over pixels: (B,) nats per image."""
        squared = (x - self.mean).square() / self.variance
        return -0.5 * (squared + LOG_2PI + math.log(self.variance)).flatten(1).sum(dim=1)
