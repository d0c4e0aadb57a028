"""What a figure is drawn of: a trained model, and what is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zoo.datasets import ImageSet, display_images
from zoo.entries.trained_model import TrainedModel
from zoo.errors import NotApplicable
from zoo.models import Autoencoder
from zoo.system.devices import isolated_randomness

MAX_GRID_IMAGES, MAX_MAP_SIDE = 1000, 100
"""The most images in a grid, and along the side of a map."""


@dataclass(frozen=True)
class FigureOptions:
    """What may be asked of a figure.

    Args:
        count: how many: images in a grid (at most 1,000), points in a scatter, images along one side of a map (at most
            100). None: what suits.
        at: codes to decode.
        between: the two classes to interpolate between; None: several pairs.
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
        options: what is wanted.
    """

    trained: TrainedModel
    options: FigureOptions = FigureOptions()

    @property
    def model(self) -> Autoencoder:
        """The model, in eval mode."""
        return self.trained.model

    @property
    def test(self) -> ImageSet:
        """The images that it was not trained on."""
        return self.trained.test

    def count(self, usual: int, most: int = MAX_GRID_IMAGES) -> int:
        """Return how many images to draw."""
        return min(self.options.count or usual, most)

    @property
    def generator(self) -> torch.Generator:
        """A new generator on the CPU, seeded with the figure's seed."""
        return torch.Generator().manual_seed(self.options.seed)

    def to_float(self, images: Tensor) -> Tensor:
        """Turn uint8 images into float in [0, 1], on the device."""
        return display_images(images.to(self.model.device), self.trained.config.checked_recipe.data)

    def labels(self, images: ImageSet) -> Tensor:
        """Return the labels (N,) of images.

        Raises:
            NotApplicable: the dataset has none.
        """
        if images.labels is None:
            raise NotApplicable(f"the dataset {self.trained.config.checked_recipe.data.name!r} has no classes")
        return images.labels

    def class_name(self, label: int) -> str:
        """Return what the dataset calls a class."""
        names = self.trained.config.checked_recipe.data.CLASSES
        return names[label] if label < len(names) else str(label)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """While the context is active, there are no gradients, and random numbers start from the figure's seed."""
        with torch.no_grad(), isolated_randomness(self.options.seed, self.model.device):
            yield

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the images of codes (N, D), on the CPU; without ``labels``, those of the first class."""
        labels = torch.zeros(len(z), dtype=torch.int64) if labels is None else labels
        parts = zip(z.split(MAX_GRID_IMAGES), labels.split(MAX_GRID_IMAGES), strict=True)
        return torch.cat([self.model.given(y).decode(part).mean.cpu() for part, y in parts])
