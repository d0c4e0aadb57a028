"""The metrics of a trained model, in units that can be compared across the zoo.

========================  =======================================================================================
``negative_elbo``         reconstruction + KL, nats per image; an upper bound on -log p(x)
``reconstruction``        -log p(x|z) for one z ~ q(z|x) per image, nats per image
``kl``                    KL(q(z|x) || p(z)), nats per image
``mse``                   squared error of the reconstruction from the posterior's mean, per pixel and channel
========================  =======================================================================================

A deterministic code has no KL and so no ELBO: only ``mse`` is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from zoo.autoencoder import Autoencoder
from zoo.configs import DatasetConfig
from zoo.data import as_float
from zoo.devices import isolated_randomness
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
}
"""Metric → heading and decimals, for tables."""

UNITS = {
    "negative_elbo": "nats per image",
    "reconstruction": "nats per image",
    "kl": "nats per image",
    "mse": "per pixel",
}


def cells(metrics: Mapping[str, float], missing: str = "") -> list[str]:
    """The metrics as :data:`COLUMNS` shows them."""
    return [f"{metrics[name]:.{digits}f}" if name in metrics else missing for name, (_, digits) in COLUMNS.items()]


def mean_over(
    images: Tensor, data: DatasetConfig, model: Autoencoder, terms: Callable[[Tensor], Terms], batch_size: int = 0
) -> dict[str, float]:
    """The mean over images (N, C, H, W), uint8, of terms that are means over a batch (one that fits, by default).

    In eval mode, without gradients.
    """
    was_training = model.training
    model.eval()
    totals = Totals(model.device)
    with torch.no_grad(), isolated_randomness(SEED, model.device):
        for batch in images.split(batch_size or fitting(images)):
            totals.add(terms(as_float(batch.to(model.device), data)), len(batch))
    model.train(was_training)
    return totals.means()


def objective_terms(
    model: Autoencoder, objective: Objective, images: Tensor, data: DatasetConfig, epoch: float
) -> dict[str, float]:
    """The objective's own terms on held-out images, as they are after ``epoch`` epochs."""
    now = torch.tensor(epoch, device=model.device)
    return mean_over(images, data, model, lambda x: objective(model, x, now))


def measure(model: Autoencoder, images: Tensor, data: DatasetConfig) -> dict[str, float]:
    """Every metric that the model has, on images (N, C, H, W), uint8."""

    def terms(x: Tensor) -> Terms:
        posterior = model.encode(x)
        found = {"mse": (x - model.decode(posterior.mean).mean).square().mean()}
        if posterior.stochastic:
            reconstruction = -model.decode(posterior.rsample()).log_prob(x).mean()
            kl = posterior.kl().mean()
            found = {"negative_elbo": reconstruction + kl, "reconstruction": reconstruction, "kl": kl} | found
        return found

    return mean_over(images, data, model, terms)


def codes(model: Autoencoder, images: Tensor, data: DatasetConfig) -> Tensor:
    """The posterior means (N, D) of images (N, C, H, W), uint8, in eval mode."""
    model.eval()
    with torch.no_grad(), isolated_randomness(SEED, model.device):
        parts = images.split(fitting(images))
        return torch.cat([model.encode(as_float(part.to(model.device), data)).mean for part in parts])


def fitting(images: Tensor) -> int:
    """How many images to measure at once: a function of their shape alone, so that figures can be repeated."""
    return max(1, min(1000, PIXELS // images[0].numel()))
