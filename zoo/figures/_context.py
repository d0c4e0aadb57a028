"""The context of a figure: a trained model, and what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from zoo.datasets import ImageSet, display_images
from zoo.entries.trained_model import TrainedModel
from zoo.errors import NotApplicable
from zoo.models import Autoencoder
from zoo.system.randomness import own_randomness

MAX_GRID_IMAGES, MAX_MAP_SIDE = 1000, 100
"""The most images in a grid, and along one side of a map."""


@dataclass(frozen=True)
class FigureOptions:
    """The options of a figure.

    Args:
        count: the number of images in a grid (at most 1,000), of points in a scatter, or of images along one side of a
            map (at most 100); None: a number that suits the kind.
        at: codes to decode.
        between: two classes to interpolate between; None: several pairs.
        path: the path of an interpolation.
        seed: the seed of everything that is drawn at random.
    """

    count: int | None = None
    at: tuple[tuple[float, ...], ...] = ()
    between: tuple[int, int] | None = None
    path: Literal["linear", "spherical"] = "linear"
    seed: int = 0


@dataclass(frozen=True)
class FigureContext:
    """A trained model, and what is asked for.

    Args:
        trained: the model with its run folder and its images.
        options: what is asked for.
        kind: the function that draws, where it is known.
    """

    trained: TrainedModel
    options: FigureOptions = FigureOptions()
    kind: Callable[..., object] | None = None

    @property
    def model(self) -> Autoencoder:
        """The model, in eval mode."""
        return self.trained.model

    @property
    def test(self) -> ImageSet:
        """The test images."""
        return self.trained.test

    def count(self, usual: int, largest: int = MAX_GRID_IMAGES) -> int:
        """Return the number of images to draw: the one asked for or the usual one, at most ``largest``."""
        return min(self.options.count or usual, largest)

    @property
    def generator(self) -> torch.Generator:
        """A new generator on the CPU, seeded with the figure's seed."""
        return torch.Generator().manual_seed(self.options.seed)

    def to_float(self, images: Tensor) -> Tensor:
        """Turn uint8 images (N, C, H, W) into floats in [0, 1], on the model's device."""
        return display_images(images.to(self.model.device), self.trained.dataset)

    def labels(self, images: ImageSet) -> Tensor:
        """Return the labels (N,) of images.

        Raises:
            NotApplicable: the dataset has none.
        """
        if images.labels is None:
            raise NotApplicable(f"the dataset {self.trained.dataset.name!r} has no classes")
        return images.labels

    def class_name(self, label: int) -> str:
        """Return the name of a class of the model, or else of the dataset; its number where it has none."""
        return self._class_names[label] if label < len(self._class_names) else str(label)

    @cached_property
    def _class_names(self) -> tuple[str, ...]:
        trained = self.trained
        return trained.class_names if self.model.classes else trained.dataset.class_names

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Enter a context without gradients, in which random numbers start from the figure's seed."""
        with torch.no_grad(), own_randomness(self.options.seed, self.model.device, self.model, self.kind):
            yield

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the images (N, C, H, W) of codes (N, D), on the CPU; without ``labels``, those of the first class."""
        labels = torch.zeros(len(z), dtype=torch.int64) if labels is None else labels
        parts = zip(z.split(MAX_GRID_IMAGES), labels.split(MAX_GRID_IMAGES), strict=True)
        return torch.cat([self.model.given(y).decode(part).mean.cpu() for part, y in parts])
