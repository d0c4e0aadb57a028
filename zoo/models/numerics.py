"""Numerical helpers that the distributions share."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LOG_2PI = math.log(2 * math.pi)


def at_least_float32(parameter: Tensor) -> Tensor:
    """Cast a distribution's parameter to 32 bits at least: bfloat16 would round noise and KL to three digits."""
    return parameter.to(torch.promote_types(parameter.dtype, torch.float32))


def product_in_32_bits(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a @ b`` of float32 matrices to 20 bits at least where CUDA may round the factors to TF32's 11 bits.

    Each factor is split into a part that TF32 represents and a rest, and only the product of the two rests is left out.
    """
    if not a.is_cuda or a.dtype != torch.float32:
        return a @ b
    (a_high, a_rest), (b_high, b_rest) = split_for_tf32(a), split_for_tf32(b)
    return (a_rest @ b_high + a_high @ b_rest) + a_high @ b_high


def split_for_tf32(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the part of float32 numbers that fits into TF32, and the rest; both add up to the numbers."""
    high = (x.view(torch.int32) & ~0x1FFF).view(torch.float32)  # without the last 13 of 23 bits of the fraction
    return high, x - high


def summed(values: Tensor) -> Tensor:
    """Sum values (B, C, H, W) over channels and pixels: (B,)."""
    return values.flatten(1).sum(dim=1)


def log_cosh(x: Tensor) -> Tensor:
    """Return log cosh x as |x| + softplus(-2 |x|) - log 2, which does not overflow."""
    size = x.abs()
    return size + F.softplus(-2 * size) - math.log(2)


def mean_squared_errors(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared error per pixel between images (B, C, H, W) and others of the same shape: (B,)."""
    return (x - y).square().flatten(1).mean(dim=1)
