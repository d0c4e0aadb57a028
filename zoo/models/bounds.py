"""Bounds on log p(x) from samples of z ~ q(z|x): the terms of the ELBO and the importance-weighted estimate.

Objectives train on them, metrics and tasks measure them. B images, K samples of z for each, values in nats.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import NotApplicable
from zoo.models.autoencoder import Model
from zoo.models.noise import NoiseSource
from zoo.models.posteriors import Posterior
from zoo.models.priors import Prior
from zoo.system.devices import widest_float

MAX_DECODED_PIXELS = 1_600_000
"""The most pixels that are decoded at once; it decides how the noise is drawn, so it is the same everywhere."""


def rate(posterior: Posterior, prior: Prior, z: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(q(z|x) || p(z)), (..., B) nats: in closed form where the pair has one, else log q(z|x) - log p(z).

    Args:
        posterior: q(z|x).
        prior: p(z).
        z: the codes (..., B, D) that the decoder gets.
        log_q: log q(z|x) of these codes, (..., B) nats.
    """
    parts = posterior.kl_per_dimension(prior)
    kl: Tensor = log_q - prior.log_prob(z) if parts is None else parts.sum(dim=1).expand_as(log_q)
    return kl


def elbo_terms(
    model: Model, x: Tensor, posterior: Posterior | None = None, noise: NoiseSource | None = None
) -> tuple[Tensor, Tensor]:
    """Return -log p(x|z), for one z from q(z|x), and the KL(q(z|x) || p(z)) of :func:`rate`: each (B,) in nats.

    Args:
        model: the model; a conditional one with the labels of the images given.
        x: images (B, C, H, W) in [0, 1].
        posterior: q(z|x), where it is known already; None computes it.
        noise: the source of random numbers; None: the generators of this thread.
    """
    reconstruction, parts = elbo_parts(model, x, posterior, noise)
    return reconstruction, parts.sum(dim=1)


def elbo_parts(
    model: Model, x: Tensor, posterior: Posterior | None = None, noise: NoiseSource | None = None
) -> tuple[Tensor, Tensor]:
    """Return the terms of :func:`elbo_terms` with the KL in the parts of :func:`drawn_with_rate`, (B, parts)."""
    z, parts = drawn_with_rate(model.encode(x) if posterior is None else posterior, model.prior, noise)
    return -model.decode(z).log_prob(x), parts


def drawn_with_rate(posterior: Posterior, prior: Prior, noise: NoiseSource | None = None) -> tuple[Tensor, Tensor]:
    """Draw one code of each image and return it, (B, D), with the KL in parts, (B, parts) nats.

    There is one part for each dimension of the code. Where the pair has no closed form there is one for all of them,
    log q(z|x) - log p(z) of this very code.
    """
    parts = posterior.kl_per_dimension(prior)
    if parts is not None:  # the density of z would be computed for nothing
        return posterior.rsample(noise=noise), parts
    z, log_q = posterior.draw(noise=noise)
    return z, (log_q - prior.log_prob(z))[:, None]


def importance_terms(
    model: Model, x: Tensor, posterior: Posterior, k: int, noise: NoiseSource | None = None
) -> tuple[Tensor, Tensor]:
    """Return -log p(x|z) and log q(z|x) - log p(z) for k samples of z of each of B images: each (k, B) in nats."""
    z, log_q = posterior.draw(k, noise=noise)  # (k, B, D)
    return reconstructions(model, x, z), log_q - model.prior.log_prob(z)


def reconstructions(model: Model, x: Tensor, z: Tensor) -> Tensor:
    """Return -log p(x|z) of k codes (k, B, D) of each of B images (B, C, H, W): (k, B) nats."""
    repeated = x.expand(len(z), *x.shape).flatten(0, 1)  # (k*B, C, H, W)
    nats: Tensor = -model.decode(z.flatten(0, 1)).log_prob(repeated)
    return nats.reshape(z.shape[:2])


def log_likelihood(model: Model, x: Tensor, samples: int, noise: NoiseSource | None = None) -> Tensor:
    """Estimate log p(x) as log 1/K sum_k p(x, z_k) / q(z_k|x): (B,) nats; the memory does not grow with K.

    Args:
        model: the model; a conditional one with the labels of the images given.
        x: images (B, C, H, W) in [0, 1].
        samples: the number K of samples of z for each image.
        noise: the source of random numbers; None: the generators of this thread.

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
        reconstruction, kl = importance_terms(model, x, posterior, k, noise)  # (k, B)
        weights = torch.logsumexp((-reconstruction - kl).to(total), dim=0)
        total = torch.logaddexp(total, weights)
    return total - math.log(samples)
