"""Code that MNIST and the datasets in its file format share."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from zoo.datasets import ImageSet, Split, damaged, data_folder, from_torchvision
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
    if digests:
        unpacked = read_unpacked(data_folder() / dataset / "raw", split)
        if unpacked is not None and unpacked.digest == digests[split]:
            return unpacked
    source = from_torchvision(name, dataset, train=split == "train", **(options or {}))
    images = ImageSet(source.data.unsqueeze(1), source.targets.to(torch.int64))
    if digests and images.digest != digests[split]:
        raise damaged(name, f"the {split} images are not those that were released")
    return images


def read_unpacked(folder: Path, split: Split) -> ImageSet | None:
    """Read a split from the files that torchvision has unpacked, without the second that importing torchvision takes.

    Returns:
        The images, to be checked by their digest, or None if a file is missing or is not in the format, so that
        torchvision downloads it or says what is wrong.
    """
    stem = "train" if split == "train" else "t10k"
    images = read_idx(folder / f"{stem}-images-idx3-ubyte", 3)
    labels = read_idx(folder / f"{stem}-labels-idx1-ubyte", 1)
    if images is None or labels is None or len(images) != len(labels):
        return None
    return ImageSet(images.unsqueeze(1), labels.to(torch.int64))


def read_idx(path: Path, dimensions: int) -> Tensor | None:
    """Read a file in LeCun's IDX format: 0, 0, the type (8: uint8), the number of dimensions, their sizes, the values.

    Returns:
        The values, or None if there is no such file or it holds something else.
    """
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError:
        return None
    start = 4 + 4 * dimensions
    if content[:4].tolist() != [0, 0, 8, dimensions] or len(content) < start:
        return None
    shape = content[4:start].view(">u4").tolist()
    values = content[start:]
    return torch.from_numpy(values.reshape(shape)) if len(values) == prod(shape) else None
