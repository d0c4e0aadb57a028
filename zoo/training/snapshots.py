"""Reconstructions of the same few test images, kept during training, from which a progress strip is drawn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.datasets import ImageSet, display_images
from zoo.models.autoencoder import Autoencoder
from zoo.schema.base import DatasetConfig
from zoo.system.sealed import seal

IMAGES_PER_SNAPSHOT = 10
"""The number of test images in a snapshot."""

SNAPSHOTS_PER_RUN = 10
"""The approximate number of snapshots of a run whose recipe does not say how often to take one."""


class SnapshotRecorder:
    """Keeps the snapshots of one run; the first is of the untrained model.

    Args:
        test: the test images, of which the first few are used.
        data: the data section, which says how images become numbers.
        epochs: the number of epochs of the whole run.
        every: epochs between two snapshots; None for about ten in the whole run.
    """

    def __init__(self, test: ImageSet, data: DatasetConfig, epochs: int, every: int | None) -> None:
        first = test.first(IMAGES_PER_SNAPSHOT)
        self.x, self.labels = display_images(first.images, data), first.labels
        self.every = every or -(-epochs // SNAPSHOTS_PER_RUN)
        self.epochs: list[int] = []
        self.reconstructions = as_bytes(self.x)[None][:0]  # (S, N, C, H, W)

    def take(self, model: Autoencoder, epoch: int, *, last: bool = False) -> None:
        """Reconstruct the images if a snapshot is due after ``epoch`` epochs, as it is after the last."""
        if epoch % self.every and not last:
            return
        was_training = model.training
        model.eval()
        images = as_bytes(model.given(self.labels).reconstruct(self.x.to(model.device)))
        model.train(was_training)
        self.reconstructions = torch.cat([self.reconstructions, images[None]])
        self.epochs.append(epoch)

    def state(self) -> dict[str, Any]:
        """Return the state that :meth:`restore` puts back."""
        return {"epochs": list(self.epochs), "reconstructions": self.reconstructions}

    def restore(self, state: dict[str, Any] | None) -> None:
        """Continue from a state; None, in checkpoints of earlier versions, changes nothing."""
        if state is None:
            return
        self.epochs, self.reconstructions = list(state["epochs"]), state["reconstructions"]

    def content(self) -> bytes:
        """Return the content of a safetensors file with its own sha256.

        It holds ``epochs`` (S,), ``originals`` (N, C, H, W) and ``reconstructions`` (S, N, C, H, W).
        """
        epochs = torch.tensor(self.epochs)
        tensors = {"epochs": epochs, "originals": as_bytes(self.x), "reconstructions": self.reconstructions}
        return seal(tensors, "snapshots", {})


def as_bytes(images: Tensor) -> Tensor:
    """Convert images in [0, 1] to uint8 on the CPU."""
    return (images * 255).round().to(torch.uint8).cpu()
