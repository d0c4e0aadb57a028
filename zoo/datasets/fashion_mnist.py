"""Fashion-MNIST (Xiao, Rasul & Vollgraf 2017): 60,000 + 10,000 images of clothes, 28x28 grey. MIT."""

from __future__ import annotations

from typing import ClassVar, Literal

from zoo.datasets import ImageSet, Split
from zoo.datasets._idx import IDXConfig, load_idx
from zoo.registry import register_dataset

RELEASED: dict[Split, str] = {
    "train": "0a9ee897a7afb6dd4c155e91561cbe3e6d188ca68f163d751bffa7c99147e70d",
    "test": "1f464896e3773fa498975dd234ac880af8e80a48f673c4e1358207b203a3932f",
}
"""The digest of the released images of each split."""


class FashionMNISTConfig(IDXConfig):
    """Clothes in ten classes, 28x28 grey."""

    name: Literal["fashion_mnist"] = "fashion_mnist"
    CLASSES: ClassVar[tuple[str, ...]] = (
        "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
    )  # fmt: skip


@register_dataset(
    config=FashionMNISTConfig,
    paper="Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747",
)
def fashion_mnist(config: FashionMNISTConfig, split: Split) -> ImageSet:
    """Load 60,000 training or 10,000 test images."""
    return load_idx("fashion_mnist", "FashionMNIST", split, RELEASED)
