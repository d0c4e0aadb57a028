"""MNIST (LeCun, Cortes & Burges 1998): 60,000 + 10,000 handwritten digits, 28x28 grey. CC BY-SA 3.0."""

from __future__ import annotations

from typing import Literal

from zoo.datasets import ImageSet, Split
from zoo.datasets._idx import IDXConfig, load_idx
from zoo.registry import register_dataset

RELEASED: dict[Split, str] = {
    "train": "0d4e8b667ff048906dd254ee247470055579ba6e618eeabdf871882705ffca4d",
    "test": "310a79d8170296feadcc605e7c57a3c87331de95e1bb64a02bca14fe91911b61",
}
"""The digest of the released images of each split."""


class MNISTConfig(IDXConfig):
    """Handwritten digits, 28x28 grey."""

    name: Literal["mnist"] = "mnist"


@register_dataset(
    config=MNISTConfig,
    paper="LeCun, Bottou, Bengio & Haffner 1998, Gradient-Based Learning Applied to Document Recognition",
)
def mnist(config: MNISTConfig, split: Split) -> ImageSet:
    """Load 60,000 training or 10,000 test images."""
    return load_idx("mnist", "MNIST", split, RELEASED)
