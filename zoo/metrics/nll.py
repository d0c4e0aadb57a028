"""The importance-weighted estimate of -log p(x), an upper bound that falls towards it with more samples."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.autoencoder import Model
from zoo.errors import Lacking
from zoo.metric import Case, Metric, register_metrics
from zoo.objective import Terms
from zoo.objectives.iwae import importance_terms
from zoo.system.devices import widest_float

CHUNK = 1_600_000
"""Pixels decoded at once. It decides how the noise is drawn, so it is the same everywhere."""


@register_metrics(
    "nll",
    Metric(
        "nll", "NLL", "nats per image",
        "-log 1/K sum_k p(x, z_k) / q(z_k|x) with K samples of z per image; the logarithms are summed in 64 bits (on "
        "MPS in 32).",
        "Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, section 5", better="lower", numbered=True,
    ),
    on_request=True,
)  # fmt: skip
def measure(case: Case) -> dict[str, float]:
    """With ``case.samples`` samples."""
    if not case.samples:
        raise Lacking("it needs a number of samples: --samples 100")

    def terms(model: Model, x: Tensor) -> Terms:
        return {f"nll_{case.samples}": -log_likelihood(model, x, case.samples).mean()}

    return case.mean(terms)


def log_likelihood(model: Model, x: Tensor, samples: int, epsilon: Callable[[int], Tensor] | None = None) -> Tensor:
    """log 1/K sum_k p(x, z_k) / q(z_k|x) of each of B images: (B,) nats; the memory does not grow with K.

    Args:
        model: with the labels of the images, if it is conditional.
        x: (B, C, H, W).
        samples: K.
        epsilon: k → standard normal numbers (k, B, D), more of them at each call; else torch's default generator.

    Raises:
        Lacking: the posterior is a point without a density.
    """
    posterior = model.encode(x)
    if not posterior.stochastic:
        raise Lacking("a deterministic code has no likelihood")
    most = max(1, CHUNK // x.numel())
    total = torch.full((len(x),), -math.inf, dtype=widest_float(x.device), device=x.device)
    for start in range(0, samples, most):
        k = min(most, samples - start)
        reconstruction, kl = importance_terms(model, x, posterior, k, epsilon(k) if epsilon else None)  # (k, B)
        weights = torch.logsumexp((-reconstruction - kl).to(total), dim=0)
        total = torch.logaddexp(total, weights)
    return total - math.log(samples)
