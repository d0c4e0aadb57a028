"""Layers that several networks share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo.system.randomness import dropped_out


class Residual(nn.Module):
    """A layer whose output is added to its input: h + layer(h)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, h: Tensor) -> Tensor:
        """Return h + layer(h), which has the shape of h."""
        output: Tensor = h + self.layer(h)
        return output


class Dropout(nn.Dropout):
    """torch's dropout, drawn from the generators of this thread where it has its own."""

    def forward(self, h: Tensor) -> Tensor:
        """Set features to zero with probability p and scale the others by 1 / (1 - p), in training mode only."""
        return dropped_out(h, self.p) if self.training else h


class Conditioned(nn.Sequential):
    """Layers that take a condition (B, Y), such as a one-hot label, beside their flattened input (B, ...)."""

    def forward(self, h: Tensor, condition: Tensor) -> Any:  # type: ignore[override]
        """Apply the layers to h (B, ...), flattened, with the condition appended."""
        return super().forward(torch.cat([h.flatten(1), condition], dim=1))
