"""The used part of what a code can hold, as the posterior itself counts it."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import NotApplicable
from zoo.metrics import EvalContext, Metric, register_metrics
from zoo.models.autoencoder import Model
from zoo.models.posteriors import ACTIVE_VARIANCE, HasCodeUsage
from zoo.objectives import Terms


@register_metrics(
    "usage",
    Metric(
        "active_units", "active units", "dimensions",
        f"Dimensions of a Gaussian code whose mean varies over the images by more than {ACTIVE_VARIANCE} (variance).",
        "Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, section 5.1", digits=0, tolerance=1, relative=0.0,
        topic="Likelihood", summary=True, noise_free=True,
    ),
    Metric(
        "perplexity", "perplexity", "vectors",
        "exp(entropy) of how often each vector of a codebook is used: the effective number of vectors in use.",
        "van den Oord, Vinyals & Kavukcuoglu 2017, arXiv:1711.00937", digits=0,
        topic="Reconstruction", summary=True, noise_free=True,
    ),
    after_training=True,
)  # fmt: skip
def usage(context: EvalContext) -> dict[str, float]:
    """Measure the active units of a Gaussian code, or the perplexity of a codebook."""
    kept: list[HasCodeUsage] = []
    codes: list[Tensor] = []

    def terms(model: Model, x: Tensor) -> Terms:
        posterior = model.encode(x)
        if not isinstance(posterior, HasCodeUsage):
            raise NotApplicable("its code has no measure of how much of it is used")
        kept[:] = [posterior]
        codes.append(posterior.code)
        return {}

    context.mean(terms)
    return kept[0].usage(torch.cat(codes))
