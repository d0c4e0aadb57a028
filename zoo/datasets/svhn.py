"""Street View House Numbers (Netzer et al. 2011): 73,257 + 26,032 cropped digits, 32x32 colour."""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar, Literal

import torch

from zoo.datasets import ImageSet, Split, from_torchvision
from zoo.errors import ZooError
from zoo.registry import register_dataset
from zoo.schema.base import DatasetConfig, ImageShape


class SVHNConfig(DatasetConfig):
    """Digits of house numbers, 32x32 colour."""

    name: Literal["svhn"] = "svhn"
    SHAPE: ClassVar[ImageShape] = (3, 32, 32)
    SIZES: ClassVar[tuple[int, int] | None] = (73_257, 26_032)


@register_dataset(
    config=SVHNConfig,
    paper="Netzer et al. 2011, Reading Digits in Natural Images with Unsupervised Feature Learning",
)
def svhn(config: SVHNConfig, split: Split) -> ImageSet:
    """Load 73,257 training or 26,032 test images.

    Raises:
        ZooError: SciPy, which reads the files, is not installed.
    """
    if find_spec("scipy") is None:
        raise ZooError("the dataset 'svhn' is read with SciPy; install it: pip install 'autoencoder-zoo[svhn]'")
    source = from_torchvision("svhn", "SVHN", split=split)
    return ImageSet(torch.from_numpy(source.data), torch.from_numpy(source.labels))
