"""A user's own file: registers a dataset of striped images, made in no time, for the tests."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

import zoo
from zoo.datasets import ImageSet, Split
from zoo.registry import DATASETS
from zoo.schema import DatasetConfig, ImageShape


class TinyConfig(DatasetConfig):
    """Striped images, for tests."""

    name: Literal["tiny"] = "tiny"
    channels: int = 1
    side: int = 28

    @property
    def image_shape(self) -> ImageShape:
        """(channels, side, side)."""
        return (self.channels, self.side, self.side)


def tiny(config: TinyConfig, split: Split) -> ImageSet:
    """230 training and 70 test images."""
    random = np.random.RandomState(0 if split == "train" else 1)
    n = 230 if split == "train" else 70
    phase, width = random.rand(2, n, 1, 1, 1)
    x = np.arange(config.side)[None, None, None, :]
    stripes = 127.5 + 127.5 * np.sin(x * (0.3 + width) + 6.3 * phase)
    images = np.broadcast_to(stripes, (n, *config.image_shape)).astype(np.uint8)
    return ImageSet(torch.from_numpy(images.copy()), torch.arange(n) % 10)


if "tiny" not in DATASETS.names():  # commands of the tests import this file into the tests' own process
    zoo.register_dataset(config=TinyConfig)(tiny)
