"""The binary cross-entropy of logits, several times as fast on a CPU as torch's.

log(1 + exp(-|l|)) is computed as a logarithm: torch's ``log1p``, which its own cross-entropy uses, takes ten times as
long with AVX-512. For a number in (1, 2] the two differ by rounding, at most 6e-8 per pixel.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def binary_cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    """Return -x log p - (1 - x) log(1 - p) of p = sigmoid(logits), in nats, in the shape of both arguments."""
    if logits.device.type == "cpu":
        if torch.compiler.is_compiling():
            return cross_entropy_traced(logits, x)
        crossed: Tensor = CPUCrossEntropy.apply(logits, x)
        return crossed
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none")


def cross_entropy_traced(logits: Tensor, x: Tensor) -> Tensor:
    """Return the same in operations that the compiler derives and fuses; the derivative at 0 is right, too."""
    above = logits > 0
    softplus = torch.where(above, logits, 0.0) + (1 + torch.where(above, -logits, logits).exp()).log()
    return softplus - x * logits


class CPUCrossEntropy(torch.autograd.Function):
    """relu(l) - x l + log(1 + exp(-|l|)) with its derivatives sigmoid(l) - x and -l."""

    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, x: Tensor) -> Tensor:
        """Return the cross-entropy of each pixel."""
        softplus = logits.abs().neg_().exp_().add_(1).log_().add_(logits.clamp(min=0))
        return softplus.sub_(x * logits)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Keep both arguments, for either direction of differentiation."""
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the gradients with respect to the logits and, where it is asked for, the images."""
        logits, x = ctx.saved_tensors
        of_logits = (torch.sigmoid(logits) - x) * gradient
        return of_logits, -logits * gradient if ctx.needs_input_grad[1] else None

    @staticmethod
    def jvp(ctx: Any, logits_tangent: Tensor | None, x_tangent: Tensor | None) -> Tensor:
        """Return the change along the tangents."""
        logits, x = ctx.saved_tensors
        parts = []
        if logits_tangent is not None:
            parts.append((torch.sigmoid(logits) - x) * logits_tangent)
        if x_tangent is not None:
            parts.append(-logits * x_tangent)
        return torch.stack(parts).sum(dim=0)
