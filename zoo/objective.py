"""The contract of an objective: images in, named loss terms out, nothing waits for the host."""

from __future__ import annotations

from torch import Tensor, nn

from zoo.autoencoder import Autoencoder

Terms = dict[str, Tensor]
"""Named scalars on the device, each a mean over the batch; ``loss`` is the one that is minimised."""


class Objective(nn.Module):
    """What is minimised. Each objective is built from its config and implements ``forward``."""

    unit: str = "nats per image"
    """Of the terms."""

    def forward(self, model: Autoencoder, x: Tensor, epoch: Tensor) -> Terms:
        """The loss terms of one batch.

        Args:
            model: in train or eval mode, as the caller wants.
            x: images (B, C, H, W) in [0, 1].
            epoch: epochs done so far, a scalar tensor with a fractional part, for terms that are annealed.
        """
        raise NotImplementedError
