"""Random numbers that belong to a picture: its score or its code is its own, whatever else it is looked at with."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from zoo.schema.base import DatasetConfig


class Noise:
    """Streams of random numbers, one for each of B pictures, that depend on its pixels and the seed alone.

    Args:
        images: uint8 (B, ...), on the CPU.
        seed: not negative.
    """

    def __init__(self, images: Tensor, seed: int) -> None:
        self._streams = [np.random.default_rng((seed, zlib.crc32(image.tobytes()))) for image in images.numpy()]

    def normal(self, k: int, d: int) -> Tensor:
        """Standard normal numbers (k, B, d); k of them and then k more are the same as 2k at once."""
        drawn = [stream.standard_normal((k, d), dtype=np.float32) for stream in self._streams]
        return torch.from_numpy(np.stack(drawn, axis=1))

    def binarized(self, x: Tensor) -> Tensor:
        """Each pixel of x (B, ...) in [0, 1], on the CPU, drawn from Bernoulli(intensity)."""
        drawn = [stream.random(x.shape[1:], dtype=np.float32) for stream in self._streams]
        return (torch.from_numpy(np.stack(drawn)) < x).float()


def presented(images: Tensor, data: DatasetConfig, noise: Noise, *, binarized: bool = False) -> Tensor:
    """uint8 images (B, ...) → float in [0, 1], binarised as those that a model was trained on, or as they are."""
    x = images.float() / 255
    return x if data.binarization == "none" or binarized else noise.binarized(x)
