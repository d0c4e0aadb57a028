"""The evidence lower bound and its two terms."""

from __future__ import annotations

from torch import Tensor

from zoo.errors import NotApplicable
from zoo.metrics import EvalContext, Metric, register_metrics
from zoo.models.autoencoder import Model
from zoo.models.bounds import elbo_terms
from zoo.objectives import Terms

SOURCE = "Kingma & Welling 2014, arXiv:1312.6114, equation 3"


@register_metrics(
    "elbo",
    Metric(
        "negative_elbo", "\N{MINUS SIGN}ELBO, nats", "nats per image",
        "Reconstruction + KL: an upper bound on -log p(x).", SOURCE, better="lower", relative=2e-3,
        topic="Likelihood", summary=True,
    ),
    Metric(
        "reconstruction", "reconstruction", "nats per image",
        "-log p(x|z) for one z from q(z|x) per image.", SOURCE, better="lower", relative=3e-3,
        topic="Likelihood", summary=True,
    ),
    Metric(
        "kl", "KL", "nats per image",
        "KL(q(z|x) || p(z)), in closed form where there is one; else log q(z|x) - log p(z) of the z that is decoded.",
        SOURCE, relative=3e-3, topic="Likelihood", summary=True, noise_free=True,
    ),
    after_training=True,
)  # fmt: skip
def elbo(context: EvalContext) -> dict[str, float]:
    """Measure the bound and its terms with one sample of z per image."""

    def terms(model: Model, x: Tensor) -> Terms:
        posterior = model.encode(x)
        if not posterior.stochastic:
            raise NotApplicable("a deterministic code has no KL divergence and no ELBO")
        reconstructions, kls = elbo_terms(model, x, posterior)
        reconstruction, kl = reconstructions.mean(), kls.mean()
        return {"negative_elbo": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    return context.mean(terms)
