"""Bounds on log p(x) from samples of z ~ q(z|x): the terms of the ELBO and the importance-weighted estimate.

Objectives train on them, metrics and tasks measure them. B images, K samples of z for each, values in nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.errors import NotApplicable
from zoo.models.autoencoder import Model
from zoo.models.posteriors import Posterior
from zoo.system.devices import widest_float

MAX_DECODED_PIXELS = 1_600_000
"""The most pixels that are decoded at once; it decides how the noise is drawn, so it is the same everywhere."""


def elbo_terms(
    model: Model, x: Tensor, posterior: Posterior | None = None, epsilon: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return -log p(x|z), for one z from q(z|x), and KL(q(z|x) || p(z)), in closed form: each (B,) in nats.

    Args:
        model: the model; a conditional one with the labels of the images given.
        x: images (B, C, H, W) in [0, 1].
        posterior: q(z|x), where it is known already; None computes it.
        epsilon: standard normal numbers (B, D) that z is made of; None draws them with torch's default generator.
    """
    posterior = model.encode(x) if posterior is None else posterior
    reconstruction = -model.decode(posterior.rsample(epsilon=epsilon)).log_prob(x)
    return reconstruction, posterior.kl()


def importance_terms(
    model: Model, x: Tensor, posterior: Posterior, k: int, epsilon: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return -log p(x|z) and log q(z|x) - log p(z) for k samples of z of each of B images: each (k, B) in nats.

    The samples are drawn with torch's default generator, or made of standard normal numbers ``epsilon`` (k, B, D).
    """
    z = posterior.rsample(k, epsilon=epsilon)  # (k, B, D)
    repeated = x.expand(k, *x.shape).flatten(0, 1)  # (k*B, C, H, W)
    reconstruction = -model.decode(z.flatten(0, 1)).log_prob(repeated).unflatten(0, (k, len(x)))
    return reconstruction, posterior.log_prob(z) - model.prior.log_prob(z)


def log_likelihood(model: Model, x: Tensor, samples: int, epsilon: Callable[[int], Tensor] | None = None) -> Tensor:
    """Estimate log p(x) as log 1/K sum_k p(x, z_k) / q(z_k|x): (B,) nats; the memory does not grow with K.

    Args:
        model: the model; a conditional one with the labels of the images given.
        x: images (B, C, H, W) in [0, 1].
        samples: the number K of samples of z for each image.
        epsilon: a function of k that returns standard normal numbers (k, B, D), others at each call; None draws them
            with torch's default generator.

    Raises:
        NotApplicable: the posterior is a point without a density.
    """
    posterior = model.encode(x)
    if not posterior.stochastic:
        raise NotApplicable("a deterministic code has no likelihood")
    at_once = max(1, MAX_DECODED_PIXELS // x.numel())
    total = torch.full((len(x),), -math.inf, dtype=widest_float(x.device), device=x.device)
    for start in range(0, samples, at_once):
        k = min(at_once, samples - start)
        reconstruction, kl = importance_terms(model, x, posterior, k, epsilon(k) if epsilon else None)  # (k, B)
        weights = torch.logsumexp((-reconstruction - kl).to(total), dim=0)
        total = torch.logaddexp(total, weights)
    return total - math.log(samples)
