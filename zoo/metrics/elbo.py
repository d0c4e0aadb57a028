"""The evidence lower bound and its two terms."""

from __future__ import annotations

from torch import Tensor

from zoo.autoencoder import Model
from zoo.errors import Lacking
from zoo.metric import Case, Metric, register_metrics
from zoo.objective import Terms

SOURCE = "Kingma & Welling 2014, arXiv:1312.6114, equation 3"


@register_metrics(
    "elbo",
    Metric(
        "negative_elbo", "\N{MINUS SIGN}ELBO, nats", "nats per image",
        "Reconstruction + KL: an upper bound on -log p(x).", SOURCE, better="lower", relative=2e-3,
    ),
    Metric(
        "reconstruction", "reconstruction", "nats per image",
        "-log p(x|z) for one z from q(z|x) per image.", SOURCE, better="lower", relative=3e-3,
    ),
    Metric(
        "kl", "KL", "nats per image",
        "KL(q(z|x) || p(z)), in closed form.", SOURCE,
    ),
)  # fmt: skip
def measure(case: Case) -> dict[str, float]:
    """One sample of z per image."""

    def terms(model: Model, x: Tensor) -> Terms:
        posterior = model.encode(x)
        if not posterior.stochastic:
            raise Lacking("a deterministic code has no KL divergence and no ELBO")
        reconstruction = -model.decode(posterior.rsample()).log_prob(x).mean()
        kl = posterior.kl().mean()
        return {"negative_elbo": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    return case.mean(terms)
