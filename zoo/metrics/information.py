"""Mutual information of codes and images, and the KL of all codes together to the prior: the two parts of the KL.

KL(q(z|x) || p(z)), mean over the images = mutual information + KL(q(z) || p(z)), where q(z) is the mixture of the
posteriors of the measured images.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import NotApplicable
from zoo.inference.loops import eval_mode
from zoo.metrics import EvalContext, Metric, register_metrics
from zoo.models.autoencoder import Model
from zoo.models.posteriors import Posterior
from zoo.objectives import Terms

NUM_CODES = 2000
"""The number of codes, each of another image, that the expectations are taken over."""

MAX_NUMBERS = 8_000_000
"""The most numbers held at once: codes x images of a batch x dimensions."""

SOURCE = "Hoffman & Johnson 2016, ELBO surgery, NIPS workshop on Advances in Approximate Bayesian Inference"


@register_metrics(
    "information",
    Metric(
        "mutual_information", "mutual information", "nats per image",
        f"E[log q(z|x) - log q(z)] over one code of each of {NUM_CODES:,} images; q(z) is the mixture of the "
        "posteriors of all N measured images, so that it is at most log N (9.21 for 10,000).",
        SOURCE, tolerance=0.1, topic="Likelihood",
    ),
    Metric(
        "aggregate_kl", "aggregate KL", "nats",
        "KL(q(z) || p(z)) = E[log q(z) - log p(z)], with the same codes and the same mixture.",
        SOURCE, better="lower", tolerance=0.3, topic="Likelihood",
    ),
)  # fmt: skip
def information(context: EvalContext) -> dict[str, float]:
    """Estimate both parts from samples of z, with the mixture over all measured images."""
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
    with eval_mode(context.model, context.seed):
        return _parts(context, posteriors, drawn)


def _parts(context: EvalContext, posteriors: list[Posterior], drawn: list[Tensor]) -> dict[str, float]:
    chosen = context.order(len(context.images))[:NUM_CODES].to(context.model.device)  # the images may be sorted
    z = torch.cat(drawn)[chosen]  # (P, D)
    inside = torch.cat([posterior.log_prob(codes) for posterior, codes in zip(posteriors, drawn, strict=True)])[chosen]
    mixture = torch.cat([_log_mixture(posteriors, part) for part in z.split(max(1, MAX_NUMBERS // drawn[0].numel()))])
    mixture -= math.log(len(context.images))
    return {
        "mutual_information": float((inside - mixture).mean()),
        "aggregate_kl": float((mixture - context.model.prior.log_prob(z)).mean()),
    }


def _log_mixture(posteriors: list[Posterior], z: Tensor) -> Tensor:
    """Return log sum_n q(z|x_n) of codes (P, D): (P,)."""
    total = z.new_full((len(z),), -math.inf)
    for posterior in posteriors:
        each = posterior.log_prob(z[:, None])  # (P, B), for one batch of images
        total = torch.logaddexp(total, torch.logsumexp(each, dim=1))
    return total
