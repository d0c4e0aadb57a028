"""CIFAR-10 (Krizhevsky 2009): 50,000 + 10,000 photographs in ten classes, 32x32 colour."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from zoo.datasets import ImageSet, Split, from_torchvision
from zoo.registry import register_dataset
from zoo.schema.base import DatasetConfig, ImageShape


class CIFAR10Config(DatasetConfig):
    """Photographs in ten classes, 32x32 colour."""

    name: Literal["cifar10"] = "cifar10"
    SHAPE: ClassVar[ImageShape] = (3, 32, 32)
    CLASSES: ClassVar[tuple[str, ...]] = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    SIZES: ClassVar[tuple[int, int] | None] = (50_000, 10_000)


@register_dataset(
    config=CIFAR10Config,
    paper="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
)
def cifar10(config: CIFAR10Config, split: Split) -> ImageSet:
    """Load 50,000 training or 10,000 test images; torchvision checks the files' MD5 before it opens them."""
    source = from_torchvision("cifar10", "CIFAR10", train=split == "train")
    images = torch.from_numpy(source.data).permute(0, 3, 1, 2).contiguous()  # (N, H, W, C) → (N, C, H, W)
    return ImageSet(images, torch.tensor(source.targets))
