"""The importance-weighted estimate of -log p(x), an upper bound that falls towards it with more samples."""

from __future__ import annotations

from torch import Tensor

from zoo.errors import NotApplicable
from zoo.metrics import EvalContext, Metric, register_metrics
from zoo.models.autoencoder import Model
from zoo.models.bounds import log_likelihood
from zoo.objectives import Terms


@register_metrics(
    "nll",
    Metric(
        "nll", "NLL", "nats per image",
        "-log 1/K sum_k p(x, z_k) / q(z_k|x) with K samples of z per image; the logarithms are summed in 64 bits (on "
        "MPS in 32).",
        "Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, section 5", better="lower", numbered=True,
        topic="Likelihood",
    ),
    on_request=True,
)  # fmt: skip
def nll(context: EvalContext, samples: int) -> dict[str, float]:
    """Measure the NLL with ``samples`` samples of z per image."""
    if not samples:
        raise NotApplicable("it needs a number of samples: --samples 100")

    def terms(model: Model, x: Tensor) -> Terms:
        return {f"nll_{samples}": -log_likelihood(model, x, samples).mean()}

    return context.mean(terms)
