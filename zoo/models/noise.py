"""Sources of the random numbers that codes are made of."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from zoo.system import randomness


class NoiseSource(Protocol):
    """A source of random numbers, such as streams that belong to single images."""

    def normal_like(self, template: Tensor) -> Tensor:
        """Draw standard normal numbers in the shape (..., B, D), on the device and in the dtype of ``template``."""


def normal_like(template: Tensor, noise: NoiseSource | None = None) -> Tensor:
    """Draw standard normal numbers like ``template`` from a source; None: from the generators of this thread."""
    return randomness.normal_like(template) if noise is None else noise.normal_like(template)
