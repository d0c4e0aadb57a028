"""The check of what the loader of a dataset returns, which may be a user's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.schema.base import DatasetConfig, Split


def checked(images: Any, config: DatasetConfig, split: Split, kind: type[Any]) -> Any:
    """Return an image set whose images are uint8 of the declared shape, and whose labels are int64.

    Args:
        images: what the loader has returned.
        config: the settings of the dataset.
        split: the split that was asked for.
        kind: the class of image sets.

    Raises:
        ZooError: it returned something else; names the dataset, what was expected, and what was found.
    """

    def refuse(expected: str, found: str) -> ZooError:
        return ZooError(f"the dataset {config.name!r}, {split} split: {expected}; its loader returned {found}")

    if not isinstance(images, kind):
        raise refuse("expected a zoo.datasets.ImageSet", _described(images))
    shape, pixels = config.image_shape, images.images
    expected = f"images must be uint8 (N, {', '.join(map(str, shape))})"
    if not isinstance(pixels, Tensor):
        raise refuse(f"{expected}, in a tensor", _described(pixels))
    if pixels.dtype is not torch.uint8 or pixels.dim() != 4 or pixels.shape[1:] != shape:
        raise refuse(expected, _described(pixels))
    n = len(pixels)
    if not n:
        raise refuse("expected images", "none")
    own = type(config).__module__.startswith("zoo.")  # the zoo's are as large as their files
    declared = config.sizes[split == "test"] if config.sizes and not own else n
    if n != declared:
        raise refuse(f"expected {declared:,} images, as declared", f"{n:,}")
    for name, factor in images.factors.items():
        if not isinstance(factor, Tensor) or factor.shape != (n,):
            raise refuse(f"the factor {name!r} must be a tensor ({n},)", _described(factor))
    groups = images.groups
    if groups is not None and (not isinstance(groups, Tensor) or groups.shape != (n,)):
        raise refuse(f"groups must be numbers ({n},), in a tensor", _described(groups))
    labels = images.labels
    if labels is None:
        return images
    expected = f"labels must be whole numbers ({n},) from 0 on, in a tensor"
    whole = isinstance(labels, Tensor) and not (labels.is_floating_point() or labels.is_complex())
    if not whole or labels.shape != (n,) or labels.dtype is torch.bool:
        raise refuse(expected, _described(labels))
    if int(labels.min()) < 0:
        raise refuse(expected, f"{int(labels.min())} among them")
    return images if labels.dtype is torch.int64 else replace(images, labels=labels.to(torch.int64))


def _described(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
