"""Event files of TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping

from torch import Tensor

from zoo.loggers import LoggedRun, Logger
from zoo.registry import register_logger


class TensorBoard(Logger):
    """Writes event files into ``tensorboard/NAME`` beside the run folder; ``tensorboard --logdir`` shows them."""

    def __init__(self, run: LoggedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a run has logged beyond the epoch that it goes on from is forgotten.
        self.writer = SummaryWriter(run.folder / "tensorboard" / run.name, purge_step=run.epoch + 1)
        self.writer.add_text("recipe", f"```json\n{json.dumps(run.recipe, indent=2)}\n```", run.epoch)

    def scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write an epoch's numbers."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, epoch)
        self.writer.flush()

    def images(self, epoch: int, name: str, images: Tensor) -> None:
        """Write images as one grid."""
        self.writer.add_images(name, images, epoch)

    def figures(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write the final figures under ``final``."""
        for name, value in values.items():
            self.writer.add_scalar(f"final/{name}", value, epoch)

    def close(self) -> None:
        """Close the file."""
        self.writer.close()


@register_logger(package="tensorboard")
def tensorboard(run: LoggedRun) -> Logger:
    """Event files in the folder tensorboard beside the run folder, for TensorBoard."""
    return TensorBoard(run)
