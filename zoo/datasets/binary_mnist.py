"""MNIST as Larochelle binarised it (Larochelle & Murray 2011; Salakhutdinov & Murray 2008): each pixel drawn once.

The likelihoods of the literature on "static" or "fixed" binary MNIST are measured on this very draw. It comes in three
text files of zeros and ones; ``"binarization": "fixed"`` of the dataset ``mnist`` draws other ones from the same
intensities.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from zoo.datasets import ImageSet, Split, check_may_download, damaged, data_folder, unavailable
from zoo.registry import register_dataset
from zoo.schema.base import DatasetConfig, ImageShape

URL = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
FILES = {"train": 50_000, "valid": 10_000, "test": 10_000}
"""The number of images in each file, by the part of its name that differs."""

PIXELS = 28 * 28


class BinaryMNISTConfig(DatasetConfig):
    """MNIST as Larochelle binarised it once and for all, 28x28, without labels."""

    name: Literal["binary_mnist"] = "binary_mnist"
    SHAPE: ClassVar[ImageShape] = (1, 28, 28)
    SIZES: ClassVar[tuple[int, int] | None] = (60_000, 10_000)


@register_dataset(
    config=BinaryMNISTConfig,
    paper="Larochelle & Murray 2011, The Neural Autoregressive Distribution Estimator, AISTATS",
)
def binary_mnist(config: BinaryMNISTConfig, split: Split) -> ImageSet:
    """Load 50,000 training images followed by the 10,000 for validation, or 10,000 test images; pixels are 0 or 255."""
    parts = ("train", "valid") if split == "train" else ("test",)
    return ImageSet(torch.cat([read(part) for part in parts]))


def read(part: str) -> Tensor:
    """Read one of the three files as uint8 (N, 1, 28, 28).

    Raises:
        ZooError: the file is missing and cannot be downloaded, or it is not what was released.
    """
    path = data_folder() / "binary_mnist" / f"binarized_mnist_{part}.amat"
    if not path.is_file():
        check_may_download("binary_mnist")
        download(path)
    digits = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    digits = digits[(digits != ord(" ")) & (digits != ord("\n")) & (digits != ord("\r"))] - ord("0")
    if digits.size != FILES[part] * PIXELS or digits.max(initial=0) > 1:
        raise damaged("binary_mnist", f"{path.name} is not {FILES[part]:,} lines of {PIXELS} zeros and ones")
    return torch.from_numpy(digits * np.uint8(255)).view(-1, 1, 28, 28)


def download(path: Path) -> None:
    """Download one of the files.

    Raises:
        ZooError: the file cannot be downloaded.
    """
    from torchvision.datasets.utils import download_url

    try:
        download_url(URL + path.name, str(path.parent), path.name)
    except Exception as error:  # a download can fail in many ways
        path.unlink(missing_ok=True)
        raise unavailable("binary_mnist", error) from error
