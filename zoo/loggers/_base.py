"""The contract of a logger: what it is told of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class LoggedRun:
    """A run as its loggers know it: its name, its recipe and its folder."""

    name: str
    """The name of the run folder."""
    folder: Path
    """The folder beside the run folders, where a logger may write into a folder of its own."""
    recipe: Mapping[str, Any]
    """The fields of the recipe, with every default written out."""
    epoch: int = 0
    """The number of epochs that the run has behind it, where it is resumed."""


class Logger:
    """Shows a run somewhere; each method does nothing unless a subclass says what.

    An error in any of them costs one warning and the logger, not the training.
    """

    def scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        """Take the numbers of an epoch by name: ``train/loss``, ``test/loss``, ``learning_rate``, …"""

    def images(self, epoch: int, name: str, images: Tensor) -> None:
        """Take images, uint8 (N, C, H, W) on the CPU with 1 or 3 channels; some ten times a run."""

    def figures(self, epoch: int, values: Mapping[str, float]) -> None:
        """Take the final figures of the run's card by name: ``test/negative_elbo``, …"""

    def close(self) -> None:
        """Write what is still to be written; the last call, however the run ended."""
