"""Priors p(z) over codes. Densities are in nats; D latent dimensions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.models.numerics import LOG_2PI, at_least_float32
from zoo.system.randomness import sampling


class Prior(nn.Module):
    """A distribution p(z) over codes of ``latent_dim`` dimensions.

    A prior over discrete codes has ``num_codes`` and ``index_shape`` and turns indices into codes; the posteriors of
    its models then have ``indices``.
    """

    fitted: ClassVar[bool] = False
    """True if ``fit`` wants the codes of the training images once training is over."""

    of_posteriors: ClassVar[bool] = False
    """True if it is made of the Gaussian posteriors of the model's own encoder."""

    num_codes: int = 0
    """The number K of vectors that a code consists of; 0 where codes are vectors of real numbers."""

    index_shape: tuple[int, ...] = ()
    """The shape of one image's indices, such as (h, w), where codes are discrete."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def attach(self, encoder: nn.Module) -> None:
        """Take note of the model's encoder, for a prior that is made of it; most have no use for it."""

    def fit(self, codes: Tensor) -> None:
        """Estimate the prior's parameters from codes (N, D); most priors have nothing to estimate."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n codes (n, D)."""
        raise NotImplementedError

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z) of codes (..., D) in nats, (...)."""
        raise NotImplementedError

    def decode_indices(self, indices: Tensor) -> Tensor:
        """Turn indices (n, *index_shape) into codes (n, D), where codes are discrete."""
        raise NotImplementedError


class StandardNormal(Prior):
    """The prior N(0, I) of a variational autoencoder."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n codes (n, D), on the generator's device (the CPU without one)."""
        with sampling(generator) as (generator, device):
            return torch.randn(n, self.latent_dim, generator=generator, device=device, dtype=torch.float32)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return -1/2 sum_d (z^2 + log 2 pi): (..., D) → (...) nats."""
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
        self.register_buffer("mean", torch.zeros(latent_dim, dtype=torch.float32))
        self.register_buffer("scale_tril", torch.eye(latent_dim, dtype=torch.float32))

    def fit(self, codes: Tensor) -> None:
        """Estimate mean and covariance from codes (N, D); unused dimensions are allowed."""
        codes = codes.cpu().double()  # MPS has no float64
        covariance = torch.cov(codes.T, correction=0).reshape(self.latent_dim, self.latent_dim)
        jitter = 1e-6 * covariance.diagonal().mean().clamp(min=1e-12) * torch.eye(self.latent_dim).to(covariance)
        self.mean.copy_(codes.mean(dim=0))
        self.scale_tril.copy_(torch.linalg.cholesky(covariance + jitter))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n codes mean + L epsilon, (n, D)."""
        mean, scale_tril = at_least_float32(self.mean), at_least_float32(self.scale_tril)
        return mean + super().sample(n, generator).to(mean) @ scale_tril.T

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of codes, (..., D) → (...) nats."""
        mean, scale_tril = at_least_float32(self.mean), at_least_float32(self.scale_tril)
        normal = torch.distributions.MultivariateNormal(mean, scale_tril=scale_tril)
        density: Tensor = normal.log_prob(z)
        return density
