"""What a code tells of its image, and how far all codes together are from the prior: the two parts of the KL.

KL(q(z|x) || p(z)), mean over the images = mutual information + KL(q(z) || p(z)), where q(z) is the mixture of the
posteriors of the measured images.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import NotApplicable
from zoo.metrics import EvalContext, Metric, register_metrics
from zoo.models.autoencoder import Model
from zoo.models.posteriors import Posterior
from zoo.objectives import Terms

POINTS = 2000
"""Codes, each of another image, that the expectations are taken over."""

CHUNK = 8_000_000
"""Numbers held at once: codes x images of a batch x dimensions."""

SOURCE = "Hoffman & Johnson 2016, ELBO surgery, NIPS workshop on Advances in Approximate Bayesian Inference"


@register_metrics(
    "information",
    Metric(
        "mutual_information", "mutual information", "nats per image",
        f"E[log q(z|x) - log q(z)] over one code of each of {POINTS:,} images; q(z) is the mixture of the posteriors "
        "of all N measured images, so that it is at most log N (9.21 for 10,000).",
        SOURCE, tolerance=0.1, topic="Likelihood",
    ),
    Metric(
        "aggregate_kl", "aggregate KL", "nats",
        "KL(q(z) || p(z)) = E[log q(z) - log p(z)], with the same codes and the same mixture.",
        SOURCE, better="lower", tolerance=0.3, topic="Likelihood",
    ),
)  # fmt: skip
def information(context: EvalContext) -> dict[str, float]:
    """Sampled, with the mixture in full."""
    posteriors: list[Posterior] = []
    drawn: list[Tensor] = []

    def terms(model: Model, x: Tensor) -> Terms:
        posterior = model.encode(x)
        if not posterior.stochastic or model.prior.num_codes:
            raise NotApplicable("its posterior is a point mass and has no density")
        posteriors.append(posterior)
        drawn.append(posterior.rsample())
        return {}

    context.mean(terms)
    chosen = context.order(len(context.images))[:POINTS].to(context.model.device)  # the images may be sorted
    z = torch.cat(drawn)[chosen]  # (P, D)
    inside = torch.cat([posterior.log_prob(codes) for posterior, codes in zip(posteriors, drawn, strict=True)])[chosen]
    mixture = torch.cat([_log_mixture(posteriors, part) for part in z.split(max(1, CHUNK // drawn[0].numel()))])
    mixture -= math.log(len(context.images))
    return {
        "mutual_information": float((inside - mixture).mean()),
        "aggregate_kl": float((mixture - context.model.prior.log_prob(z)).mean()),
    }


def _log_mixture(posteriors: list[Posterior], z: Tensor) -> Tensor:
    """log sum_n q(z|x_n): codes (P, D) → (P,)."""
    total = z.new_full((len(z),), -math.inf)
    for posterior in posteriors:
        each = posterior.log_prob(z[:, None])  # (P, B), for one batch of images
        total = torch.logaddexp(total, torch.logsumexp(each, dim=1))
    return total
