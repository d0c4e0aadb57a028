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


class SelfAttention(nn.Module):
    """Each position of a map takes from the others what it asks for: softmax(q k^T / sqrt(F)) v, with one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, h: Tensor) -> Tensor:
        """Return what each position of h (B, F, h, w) takes, of the same shape."""
        q, k, v = self.qkv(self.norm(h)).flatten(2).transpose(1, 2).chunk(3, dim=2)  # (B, h*w, F)
        taken = nn.functional.scaled_dot_product_attention(q, k, v)
        output: Tensor = self.out(taken.transpose(1, 2).reshape(h.shape))
        return output


class Dropout(nn.Dropout):
    """torch's dropout, drawn from the generators of this thread where it has its own."""

    def forward(self, h: Tensor) -> Tensor:
        """Set features to zero with probability p and scale the others by 1 / (1 - p), in training mode only."""
        return dropped_out(h, self.p) if self.training else h


class ConditionedMaps(nn.Sequential):
    """Layers that take a condition (B, Y) as Y more channels of their input, each of one value.

    Args:
        shape: the shape (C, H, W) of the input without the condition, which may come flat.
        layers: the layers, of C + Y input channels.
    """

    def __init__(self, shape: tuple[int, ...], *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.shape = shape

    def forward(self, h: Tensor, condition: Tensor) -> Any:  # type: ignore[override]
        """Apply the layers to h (B, C, H, W), or (B, C*H*W), with the condition as further channels."""
        maps = condition[:, :, None, None].expand(-1, -1, *self.shape[1:])
        return super().forward(torch.cat([h.reshape(-1, *self.shape), maps], dim=1))


class Conditioned(nn.Sequential):
    """Layers that take a condition (B, Y), such as a one-hot label, beside their flattened input (B, ...)."""

    def forward(self, h: Tensor, condition: Tensor) -> Any:  # type: ignore[override]
        """Apply the layers to h (B, ...), flattened, with the condition appended."""
        return super().forward(torch.cat([h.flatten(1), condition], dim=1))
