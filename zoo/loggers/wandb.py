"""Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from zoo.loggers import LoggedRun, Logger
from zoo.registry import register_logger


class WeightsAndBiases(Logger):
    """Sends a run to the project ``autoencoder-zoo``; ``WANDB_MODE=offline`` keeps it in ``wandb`` beside the run."""

    def __init__(self, run: LoggedRun) -> None:
        import wandb

        self.image = wandb.Image
        self.run = wandb.init(
            project="autoencoder-zoo", name=run.name, group=run.recipe["name"], dir=str(run.folder),
            config=dict(run.recipe), reinit="create_new",
        )  # fmt: skip

    def scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log an epoch's numbers."""
        self.run.log(dict(values), step=epoch)

    def images(self, epoch: int, name: str, images: Tensor) -> None:
        """Log images."""
        self.run.log({name: [self.image(image.movedim(0, 2).numpy()) for image in images]}, step=epoch)

    def figures(self, epoch: int, values: Mapping[str, float]) -> None:
        """Put the final figures into the summary."""
        self.run.summary.update({f"final/{name}": value for name, value in values.items()})

    def close(self) -> None:
        """End the run."""
        self.run.finish()


@register_logger(package="wandb")
def wandb(run: LoggedRun) -> Logger:
    """Weights & Biases, in the project autoencoder-zoo (WANDB_MODE=offline: without a network)."""
    return WeightsAndBiases(run)
