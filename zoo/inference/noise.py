"""Random numbers that belong to one image: its score or code does not depend on the other images of a batch."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from zoo.schema.base import DatasetConfig


class Noise:
    """Streams of random numbers, one for each of B images, each a function of the image's pixels and the seed alone.

    Args:
        images: the images, uint8 (B, ...), on the CPU.
        seed: a number that is not negative.
    """

    def __init__(self, images: Tensor, seed: int) -> None:
        self._streams = [np.random.default_rng((seed, zlib.crc32(image.tobytes()))) for image in images.numpy()]

    def normal_like(self, template: Tensor) -> Tensor:
        """Return standard normal numbers like ``template``, (B, D) or (k, B, D), on its device."""
        drawn = self.normal(template.shape[:-2].numel(), template.shape[-1])
        return drawn.reshape(template.shape).to(template)

    def normal(self, k: int, d: int) -> Tensor:
        """Return standard normal numbers (k, B, d); two calls with k give the same numbers as one with 2k."""
        drawn = [stream.standard_normal((k, d), dtype=np.float32) for stream in self._streams]
        return torch.from_numpy(np.stack(drawn, axis=1))

    def binarized(self, x: Tensor) -> Tensor:
        """Return images of 0 and 1, each pixel drawn from Bernoulli(intensity) of x, (B, ...) in [0, 1] on the CPU."""
        drawn = [stream.random(x.shape[1:], dtype=np.float32) for stream in self._streams]
        return (torch.from_numpy(np.stack(drawn)) < x).float()


def presented(images: Tensor, data: DatasetConfig, noise: Noise, *, binarized: bool = False) -> Tensor:
    """Convert uint8 images (B, ...) to float in [0, 1], binarised if the model's training images were.

    Args:
        images: the images, on the CPU.
        data: the data section of the model's recipe.
        noise: the random numbers of these images.
        binarized: the images are binarised already.
    """
    x = images.float() / 255
    return x if data.binarization == "none" or binarized else noise.binarized(x)
