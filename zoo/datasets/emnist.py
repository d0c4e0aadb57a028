"""EMNIST (Cohen et al. 2017): handwritten letters and digits, 28x28 grey, in several partitions."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from zoo.datasets import ImageSet, Split
from zoo.datasets._idx import IDXConfig, load_idx
from zoo.registry import register_dataset


class EMNISTConfig(IDXConfig):
    """Handwritten letters and digits, 28x28 grey."""

    name: Literal["emnist"] = "emnist"
    partition: Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"] = Field(
        "balanced", description="`balanced` has 112,800 training and 18,800 test images in 47 classes."
    )

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of training and test images, from table II of Cohen et al. 2017."""
        sizes = {
            "byclass": (697_932, 116_323),
            "bymerge": (697_932, 116_323),
            "balanced": (112_800, 18_800),
            "letters": (124_800, 20_800),
            "digits": (240_000, 40_000),
            "mnist": (60_000, 10_000),
        }
        return sizes[self.partition]


@register_dataset(
    config=EMNISTConfig,
    paper="Cohen, Afshar, Tapson & van Schaik 2017, arXiv:1702.05373",
)
def emnist(config: EMNISTConfig, split: Split) -> ImageSet:
    """Load one partition; the files hold each image transposed, which is undone here."""
    stored = load_idx("emnist", "EMNIST", split, options={"split": config.partition})
    return replace(stored, images=stored.images.transpose(2, 3).contiguous())
