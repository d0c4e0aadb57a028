"""The metrics of a trained model, in units that can be compared across the zoo.

========================  =======================================================================================
``negative_elbo``         reconstruction + KL, nats per image; an upper bound on -log p(x)
``reconstruction``        -log p(x|z) for one z ~ q(z|x) per image, nats per image
``kl``                    KL(q(z|x) || p(z)), nats per image
``mse``                   squared error of the reconstruction from the posterior's mean, per pixel and channel
``active_units``          dimensions of a Gaussian code whose mean varies over the images by more than 0.01
``perplexity``            exp(entropy) of how often each vector of a codebook is used: how many are in use, in effect
========================  =======================================================================================

A deterministic code has no KL and so no ELBO: only ``mse`` is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from zoo.autoencoder import Autoencoder, Model
from zoo.configs import DatasetConfig
from zoo.data import ImageSet, as_float
from zoo.devices import isolated_randomness
from zoo.distributions import Counted
from zoo.objective import Objective, Terms
from zoo.totals import Totals

PIXELS = 800_000
"""In a batch of images to be measured: 1,000 of MNIST, fewer of larger ones."""

SEED = 0
"""Of the noise in z and of the binarisation: the same model and images give the same figures."""

COLUMNS = {
    "mse": ("MSE per pixel", 5),
    "negative_elbo": ("\N{MINUS SIGN}ELBO, nats", 2),
    "reconstruction": ("reconstruction", 2),
    "kl": ("KL", 2),
    "active_units": ("active units", 0),
    "perplexity": ("perplexity", 0),
}
"""Metric → heading and decimals, for tables."""

UNITS = {
    "negative_elbo": "nats per image",
    "reconstruction": "nats per image",
    "kl": "nats per image",
    "mse": "per pixel",
    "active_units": "dimensions",
    "perplexity": "vectors",
}


def cells(metrics: Mapping[str, float], missing: str = "") -> list[str]:
    """The metrics as :data:`COLUMNS` shows them."""
    return [f"{metrics[name]:.{digits}f}" if name in metrics else missing for name, (_, digits) in COLUMNS.items()]


def mean_over(
    images: ImageSet,
    data: DatasetConfig,
    model: Autoencoder,
    terms: Callable[[Model, Tensor], Terms],
    batch_size: int = 0,
) -> dict[str, float]:
    """The mean over images of terms that are means over a batch (one that fits, by default).

    In eval mode, without gradients.
    """
    model.check_labels(images.labels)
    was_training = model.training
    model.eval()
    totals = Totals(model.device)
    with torch.no_grad(), isolated_randomness(SEED, model.device):
        for batch in images.batches(batch_size or fitting(images)):
            batch = batch.to(model.device)
            totals.add(terms(model.given(batch.labels), as_float(batch.images, data)), len(batch))
    model.train(was_training)
    return totals.means()


def objective_terms(
    model: Autoencoder, objective: Objective, images: ImageSet, data: DatasetConfig, epoch: float
) -> dict[str, float]:
    """The objective's own terms on held-out images, as they are after ``epoch`` epochs."""
    now = torch.tensor(epoch, device=model.device)
    return mean_over(images, data, model, lambda model, x: objective(model, x, now))


def measure(model: Autoencoder, images: ImageSet, data: DatasetConfig) -> dict[str, float]:
    """Every metric that the model has."""
    counted: list[Counted] = []
    codes: list[Tensor] = []

    def terms(model: Model, x: Tensor) -> Terms:
        posterior = model.encode(x)
        if isinstance(posterior, Counted):
            counted[:] = [posterior]
            codes.append(posterior.code)
        found = {"mse": (x - model.decode(posterior.mean).mean).square().mean()}
        if posterior.stochastic:
            reconstruction = -model.decode(posterior.rsample()).log_prob(x).mean()
            kl = posterior.kl().mean()
            found = {"negative_elbo": reconstruction + kl, "reconstruction": reconstruction, "kl": kl} | found
        return found

    means = mean_over(images, data, model, terms)
    return means | (counted[0].usage(torch.cat(codes)) if counted else {})


def codes(model: Autoencoder, images: ImageSet, data: DatasetConfig) -> Tensor:
    """The posterior means (N, D) of images, in eval mode."""
    found: list[Tensor] = []

    def terms(model: Model, x: Tensor) -> Terms:
        found.append(model.encode(x).mean)
        return {}

    mean_over(images, data, model, terms)
    return torch.cat(found)


def fitting(images: ImageSet) -> int:
    """How many images to measure at once: a function of their shape alone, so that figures can be repeated."""
    return max(1, min(1000, PIXELS // images.images[0].numel()))
