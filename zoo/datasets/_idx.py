"""Code that MNIST and the datasets in its file format share."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from zoo.datasets import ImageSet, Split, damaged, from_torchvision
from zoo.schema.base import DatasetConfig, ImageShape


class IDXConfig(DatasetConfig):
    """28x28 grey images."""

    SHAPE: ClassVar[ImageShape] = (1, 28, 28)
    SIZES: ClassVar[tuple[int, int] | None] = (60_000, 10_000)


def load_idx(
    name: str,
    dataset: str,
    split: Split,
    digests: dict[Split, str] | None = None,
    options: dict[str, Any] | None = None,
) -> ImageSet:
    """Load a dataset of torchvision's MNIST family.

    Args:
        name: the dataset's name in messages.
        dataset: the name of the class in ``torchvision.datasets``.
        split: the split to load.
        digests: :attr:`ImageSet.digest` of the released images where they are known, so that a damaged file is an error
            and not a worse model.
        options: further arguments of the class.

    Raises:
        ZooError: the dataset is not available, or its content is not what was released.
    """
    source = from_torchvision(name, dataset, train=split == "train", **(options or {}))
    images = ImageSet(source.data.unsqueeze(1), source.targets.to(torch.int64))
    if digests and images.digest != digests[split]:
        raise damaged(name, f"the {split} images are not those that were released")
    return images
