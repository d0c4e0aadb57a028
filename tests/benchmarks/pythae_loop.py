"""The same network, trained by pythae (Chadebec, Vincent & Allassonniere 2022, arXiv:2206.08309; PyPI ``pythae``).

Its ``BaseTrainer`` with its defaults: images as float32 in memory, a DataLoader without workers, ``.item()`` each step.
Left out, in its favour: the progress bar, log lines, and what it does between epochs (a copy of the best model).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import AE, VAE, AEConfig, BaseAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import ProgressBarCallback
from torch import Tensor, nn

from tests.benchmarks.contestants import Absent, Contestant
from zoo.datasets import ImageSet, as_float
from zoo.likelihoods.bernoulli import BernoulliConfig
from zoo.models.autoencoder import Autoencoder
from zoo.models.build import build
from zoo.schema.recipe import Recipe


class Encoder(BaseEncoder):  # type: ignore[misc]
    """The zoo's encoder as pythae calls it."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor) -> ModelOutput:
        """Images (B, C, H, W) → ``embedding`` and, of a VAE, ``log_covariance``: (B, D)."""
        posterior = self.part(x)
        if posterior.stochastic:
            return ModelOutput(embedding=posterior.mu, log_covariance=posterior.logvar)
        return ModelOutput(embedding=posterior.mean)


class Decoder(BaseDecoder):  # type: ignore[misc]
    """The zoo's decoder as pythae calls it."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, z: Tensor) -> ModelOutput:
        """Codes (B, D) → ``reconstruction``: (B, C, H, W) in [0, 1]."""
        return ModelOutput(reconstruction=torch.sigmoid(self.part(z)))


def wrap(recipe: Recipe, model: Autoencoder) -> BaseAE:
    """pythae's model around the zoo's layers: they share their weights.

    Raises:
        Absent: pythae has no model with this loss.
    """
    parts = {"encoder": Encoder(model.encoder), "decoder": Decoder(model.decoder)}
    sizes = {"input_dim": model.image_shape, "latent_dim": model.prior.latent_dim}
    if recipe.objective.name == "reconstruction":
        return AE(AEConfig(**sizes), **parts)
    if recipe.objective.name == "elbo" and isinstance(recipe.model.likelihood, BernoulliConfig):
        return VAE(VAEConfig(reconstruction_loss="bce", **sizes), **parts)
    raise Absent(f"pythae has no counterpart of the objective {recipe.objective.name!r} with this likelihood")


@contextmanager
def quiet() -> Iterator[None]:
    """Without pythae's log lines: its loggers print, whatever the level of those above them."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


class PythaeLoop(Contestant):
    """``BaseTrainer.train_step``, which is pythae's name for an epoch.

    Args:
        recipe: what to train.
        train: its images.
        device: where.

    Raises:
        Absent: pythae cannot train this recipe, or not on this device.
    """

    def __init__(self, recipe: Recipe, train: ImageSet, device: torch.device) -> None:
        if device.type not in ("cpu", "cuda"):
            raise Absent(f"pythae does not run on {device.type}")
        torch.manual_seed(recipe.training.seed)
        model = build(recipe)
        labels = torch.zeros(len(train)) if train.labels is None else train.labels
        with quiet(), TemporaryDirectory() as folder:  # it wants one; nothing is kept there before the end of a run
            self.trainer = BaseTrainer(
                wrap(recipe, model),
                BaseDataset(as_float(train.images, recipe.data), labels),
                training_config=BaseTrainerConfig(
                    output_dir=folder,
                    per_device_train_batch_size=recipe.training.batch_size,
                    learning_rate=recipe.optimizer.learning_rate,
                    optimizer_cls="Adam",
                    num_epochs=recipe.training.epochs,
                    seed=recipe.training.seed,
                    no_cuda=device.type == "cpu",
                ),
            )
            self.trainer.prepare_training()
        handler = self.trainer.callback_handler
        handler.callbacks = [c for c in handler.callbacks if not isinstance(c, ProgressBarCallback)]
        self.models = [model]
        self.epoch = 0

    def train_epoch(self) -> None:
        """One pass over its DataLoader."""
        self.epoch += 1
        self.trainer.train_step(self.epoch)
