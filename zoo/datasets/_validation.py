"""Validation images, which are cut off the training split: trained on never, they decide which epoch's weights stay."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.datasets._base import ImageSet
from zoo.errors import ZooError
from zoo.system.mapped_images import chosen

VALIDATION_SEED = 0
"""The seed by which validation images are drawn. It is no field of the recipe: runs with other seeds are then compared
on the same images, and share the others on a device."""


def validation_size(images: int, validation: float) -> int:
    """Return how many of a number of training images are to be validated on.

    Args:
        images: the number of training images.
        validation: the share of them, or the number from 1 on.

    Raises:
        ZooError: none would be left to train on.
    """
    wanted = int(validation) if validation >= 1 else max(1, round(validation * images))
    if wanted >= images:
        raise ZooError(f"training.validation {validation:g} leaves none of {images:,} training images; lower it")
    return wanted


def split_off(train: ImageSet, validation: float | None) -> tuple[ImageSet, ImageSet | None]:
    """Divide training images into those to train on and those to validate on, each in their order.

    Groups stay together. They are drawn until there are enough images, which the last one drawn may exceed.

    Args:
        train: the training split.
        validation: the share of the images, or their number from 1 on; None: no image.

    Raises:
        ZooError: no image, or no group, would be left to train on.
    """
    if validation is None:
        return train, None
    wanted = validation_size(len(train), validation)
    generator = torch.Generator().manual_seed(VALIDATION_SEED)
    if train.groups is None:
        held_out = torch.zeros(len(train), dtype=torch.bool)
        held_out[torch.randperm(len(train), generator=generator)[:wanted]] = True
    else:
        _, group, sizes = train.groups.unique(return_inverse=True, return_counts=True)
        order = torch.randperm(len(sizes), generator=generator)
        drawn = int((sizes[order].cumsum(0) < wanted).sum()) + 1
        if drawn >= len(sizes):
            raise ZooError(
                f"training.validation {validation:g} leaves none of {len(sizes):,} groups of training images, "
                f"which stay together; lower it"
            )
        held_out = torch.isin(group, order[:drawn])
    return _part(train, ~held_out), _part(train, held_out)


def _part(images: ImageSet, mask: Tensor) -> ImageSet:
    return replace(
        images,
        images=chosen(images.images, mask),
        labels=None if images.labels is None else images.labels[mask],
        groups=None if images.groups is None else images.groups[mask],
        factors={name: factor[mask] for name, factor in images.factors.items()},
    )
