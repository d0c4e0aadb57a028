"""Images a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ImageBatch:
    """Some images of a stream."""

    names: list[str]
    """The file of each image, or its index in a dataset: ``mnist/test/17``."""
    images: Tensor
    """The images, uint8 (B, C, H, W)."""
    labels: Tensor | None
    """The labels, int64 (B,), or None where there are none."""


@dataclass(frozen=True)
class ImageStream:
    """A source of images that can be iterated more than once."""

    name: str
    """The dataset and split, or the folder."""
    size: int
    """The number of images; some files of a folder may turn out not to be images."""
    batches: Callable[[int], Iterator[ImageBatch]]
    """A function that yields the batches; its argument is the number of images in a batch."""
    binarized: bool = False
    """True if the images were binarised once and for all, with their dataset."""
