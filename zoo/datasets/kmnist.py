"""KMNIST (Clanuwat et al. 2018): 60,000 + 10,000 cursive Japanese characters, 28x28 grey. CC BY-SA 4.0."""

from __future__ import annotations

from typing import Literal

from zoo.datasets import ImageSet, Split
from zoo.datasets._idx import IDXConfig, load_idx
from zoo.registry import register_dataset


class KMNISTConfig(IDXConfig):
    """Cursive Japanese characters, 28x28 grey."""

    name: Literal["kmnist"] = "kmnist"


@register_dataset(
    config=KMNISTConfig,
    paper="Clanuwat et al. 2018, Deep Learning for Classical Japanese Literature, arXiv:1812.01718",
)
def kmnist(config: KMNISTConfig, split: Split) -> ImageSet:
    """Load 60,000 training or 10,000 test images."""
    return load_idx("kmnist", "KMNIST", split)
