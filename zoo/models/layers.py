"""Layers that several networks share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """A layer whose output is added to its input: h + layer(h)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, h: Tensor) -> Tensor:
        """Return h + layer(h), which has the shape of h."""
        output: Tensor = h + self.layer(h)
        return output


class Conditioned(nn.Sequential):
    """Layers that take a condition (B, Y), such as a one-hot label, beside their flattened input (B, ...)."""

    def forward(self, h: Tensor, condition: Tensor) -> Any:  # type: ignore[override]
        """Apply the layers to h (B, ...), flattened, with the condition appended."""
        return super().forward(torch.cat([h.flatten(1), condition], dim=1))
