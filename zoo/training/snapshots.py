"""Reconstructions of the same few test images, kept as training goes on: what a progress strip is drawn from."""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from zoo.datasets import ImageSet, display_images
from zoo.models.autoencoder import Autoencoder
from zoo.schema.base import DatasetConfig

IMAGES = 10
"""In a snapshot."""

SNAPSHOTS_PER_RUN = 10
"""Snapshots of a run whose recipe does not say how often to take one."""


class SnapshotRecorder:
    """The snapshots of one run; the first is of the untrained model.

    Args:
        test: the images, of which the first few are taken.
        data: how they become numbers.
        epochs: of the whole run.
        every: epochs between two snapshots; None for about ten in the whole run.
    """

    def __init__(self, test: ImageSet, data: DatasetConfig, epochs: int, every: int | None) -> None:
        first = test.first(IMAGES)
        self.x, self.labels = display_images(first.images, data), first.labels
        self.every = every or -(-epochs // SNAPSHOTS_PER_RUN)
        self.last = epochs
        self.epochs: list[int] = []
        self.reconstructions = as_bytes(self.x)[None][:0]  # (S, N, C, H, W)

    def take(self, model: Autoencoder, epoch: int) -> None:
        """Reconstruct the images if it is time for it after so many epochs."""
        if epoch % self.every and epoch != self.last:
            return
        was_training = model.training
        model.eval()
        images = as_bytes(model.given(self.labels).reconstruct(self.x.to(model.device)))
        model.train(was_training)
        self.reconstructions = torch.cat([self.reconstructions, images[None]])
        self.epochs.append(epoch)

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` puts back."""
        return {"epochs": list(self.epochs), "reconstructions": self.reconstructions}

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from what :meth:`state` gave; a checkpoint of an earlier version has none."""
        if state is None:
            return
        self.epochs, self.reconstructions = list(state["epochs"]), state["reconstructions"]

    def content(self) -> bytes:
        """safetensors: ``epochs`` (S,), ``originals`` (N, C, H, W) and ``reconstructions`` (S, N, C, H, W)."""
        epochs = torch.tensor(self.epochs)
        return save({"epochs": epochs, "originals": as_bytes(self.x), "reconstructions": self.reconstructions})


def as_bytes(images: Tensor) -> Tensor:
    """Images in [0, 1] → uint8, on the CPU."""
    return (images * 255).round().to(torch.uint8).cpu()
