"""Several augmentations as one function, and what their files share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.registry import AUGMENTATIONS
from zoo.schema.base import AugmentationConfig
from zoo.system.randomness import uniform_like


class Augmentations:
    """Changes images at random, by one augmentation after another, anew at every call.

    >>> import torch
    >>> from zoo.augmentations import Augmentations
    >>> from zoo.augmentations.noise import NoiseConfig
    >>> noisy = Augmentations([NoiseConfig(sigma=0.2)])
    >>> noisy(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 1, 8, 8])

    Args:
        configs: the settings of the augmentations, in their order.
    """

    def __init__(self, configs: Sequence[AugmentationConfig]) -> None:
        self.steps: list[tuple[Any, Callable[[Any, Tensor], Tensor]]] = [
            (config, AUGMENTATIONS.get(config.name).build) for config in configs
        ]

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def functions(self) -> list[Callable[..., Tensor]]:
        """The functions of the augmentations."""
        return [function for _, function in self.steps]

    def __call__(self, x: Tensor) -> Tensor:
        """Return changed images of the same shape, in [0, 1].

        Args:
            x: the images, (B, C, H, W) in [0, 1], which stay as they are.

        Raises:
            ZooError: an augmentation returns something else than images of that shape.
        """
        for config, function in self.steps:
            changed = function(config, x)
            if not isinstance(changed, Tensor) or changed.shape != x.shape or changed.dtype != x.dtype:
                got = f"{tuple(changed.shape)}, {changed.dtype}" if isinstance(changed, Tensor) else type(changed)
                expected = f"images {tuple(x.shape)}, {x.dtype}"
                raise ZooError(f"the augmentation {config.name!r} must return {expected}; it returned {got}")
            if config.probability < 1:
                chosen = uniform_like(x[:, 0, 0, 0]) < config.probability
                changed = torch.where(chosen[:, None, None, None], changed, x)
            x = changed.clamp(0, 1)  # interpolation may leave the range by rounding
        return x


def between(low: float, high: float, x: Tensor) -> Tensor:
    """Draw a number from [low, high) for each image of ``x`` (B, C, H, W); return them as (B,)."""
    return low + (high - low) * uniform_like(x[:, 0, 0, 0])


def positions(size: int, x: Tensor) -> Tensor:
    """Return 0, 1, …, ``size`` - 1 in the dtype and on the device of ``x``."""
    return torch.arange(size, dtype=x.dtype, device=x.device)


def picked(x: Tensor, indices: Tensor, dim: int) -> Tensor:
    """Return rows (``dim`` 2) or columns (3) of images (B, C, H, W), int64 (B, N) of them for each image."""
    shape = list(x.shape)
    shape[dim] = indices.shape[1]
    return x.gather(dim, (indices[:, None, :, None] if dim == 2 else indices[:, None, None, :]).expand(shape))
