"""Numerical helpers that the distributions share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


def at_least_float32(parameter: Tensor) -> Tensor:
    """Cast a distribution's parameter to 32 bits at least: bfloat16 would round noise and KL to three digits."""
    return parameter.to(torch.promote_types(parameter.dtype, torch.float32))


def mean_squared_errors(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared error per pixel between images (B, C, H, W) and others of the same shape: (B,)."""
    return (x - y).square().flatten(1).mean(dim=1)
