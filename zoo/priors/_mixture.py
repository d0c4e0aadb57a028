"""The density of a mixture of K Gaussians, and a draw from it: what the priors that are mixtures share."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.models.numerics import LOG_2PI
from zoo.system.randomness import sampling


def log_density(z: Tensor, mu: Tensor, logvar: Tensor, log_weights: Tensor) -> Tensor:
    """Return the log-density of codes (..., D) under Gaussians (K, D) with log weights (K,): (...) nats."""
    # Not as a matrix product: with small variances its differences are lost in what it rounds, more so in TF32.
    squared = (z[..., None, :] - mu).square() * (-logvar).exp()  # (..., K, D)
    return torch.logsumexp(log_weights - 0.5 * (squared + logvar + LOG_2PI).sum(dim=-1), dim=-1)


@torch.no_grad()
def draw(mu: Tensor, logvar: Tensor, weights: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """Draw n codes (n, D) from Gaussians (K, D) with weights (K,), on their device."""
    with sampling(generator) as (source, device):
        chosen = torch.multinomial(weights.to(device), n, replacement=True, generator=source)
        epsilon = torch.randn(n, mu.shape[1], generator=source, device=device, dtype=torch.float32)
    chosen = chosen.to(mu.device)
    return mu[chosen] + (0.5 * logvar[chosen]).exp() * epsilon.to(mu)
