"""What a picture is drawn of: a trained model with its run folder and its images, and what is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from zoo.artifacts import Snapshots, load_folder, read_config, read_snapshots
from zoo.autoencoder import Autoencoder
from zoo.data import ImageSet, Split, load_images, pictured
from zoo.errors import Lacking, ZooError
from zoo.loading import Found, find
from zoo.schema.run_config import RunConfig
from zoo.system.devices import isolated_randomness

MOST, MOST_IN_MAP = 1000, 100
"""Images in a grid, and along the side of a map."""


@dataclass(frozen=True)
class Options:
    """What the kinds may be asked for.

    Args:
        count: how many: images in a grid (at most 1,000), points in a scatter, images along one side of a map (at most
            100). None: what suits.
        at: codes to decode.
        between: the two classes to interpolate between; None: several pairs.
        path: of the interpolation.
        seed: of everything that is drawn at random.
    """

    count: int | None = None
    at: tuple[tuple[float, ...], ...] = ()
    between: tuple[int, int] | None = None
    path: Literal["linear", "spherical"] = "linear"
    seed: int = 0


@dataclass
class Subject:
    """A trained model, its run folder and its images, each read when it is first needed.

    Args:
        source: an entry or a run folder, as :func:`zoo.load` takes it.
        device: where to compute.
        options: what is wanted.
    """

    source: str | os.PathLike[str]
    device: str = "cpu"
    options: Options = field(default_factory=Options)
    loaded: dict[Split, ImageSet | Lacking] = field(default_factory=dict, init=False)

    @cached_property
    def found(self) -> Found:
        """The run folder, and where it comes from."""
        return find(self.source, whole=True)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.found.folder

    @cached_property
    def config(self) -> RunConfig:
        """The card's facts."""
        return read_config(self.folder)

    @cached_property
    def model(self) -> Autoencoder:
        """In eval mode."""
        return load_folder(self.folder, self.device)

    @cached_property
    def snapshots(self) -> Snapshots:
        """Kept during training."""
        return read_snapshots(self.folder)

    @property
    def train(self) -> ImageSet:
        """The images that it was trained on."""
        return self.images("train")

    @property
    def test(self) -> ImageSet:
        """The images that it was not trained on."""
        return self.images("test")

    def images(self, split: Split) -> ImageSet:
        """One split of the dataset, which is looked for only once.

        Raises:
            Lacking: it cannot be had.
        """
        if split not in self.loaded:
            data = self.config.checked_recipe.data  # what is wrong with the run folder is no lack of images
            try:
                self.loaded[split] = load_images(data, split)
            except ZooError as error:
                self.loaded[split] = Lacking(str(error))
        found = self.loaded[split]
        if isinstance(found, Lacking):
            raise found
        return found

    def count(self, usual: int, most: int = MOST) -> int:
        """How many images to draw."""
        return min(self.options.count or usual, most)

    @property
    def generator(self) -> torch.Generator:
        """A fresh one."""
        return torch.Generator().manual_seed(self.options.seed)

    def x(self, images: Tensor) -> Tensor:
        """uint8 → float in [0, 1], on the device."""
        return pictured(images.to(self.model.device), self.config.checked_recipe.data)

    def labels(self, images: ImageSet) -> Tensor:
        """(N,).

        Raises:
            Lacking: the dataset has none.
        """
        if images.labels is None:
            raise Lacking(f"the dataset {self.config.checked_recipe.data.name!r} has no classes")
        return images.labels

    def class_name(self, label: int) -> str:
        """As the dataset calls it."""
        names = self.config.checked_recipe.data.CLASSES
        return names[label] if label < len(names) else str(label)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Without gradients, and with random numbers of its own."""
        with torch.no_grad(), isolated_randomness(self.options.seed, self.model.device):
            yield

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The images of codes (N, D); of a conditional model, of the first class unless ``labels`` are given."""
        labels = torch.zeros(len(z), dtype=torch.int64) if labels is None else labels
        parts = zip(z.split(MOST), labels.split(MOST), strict=True)
        return torch.cat([self.model.given(y).decode(part).mean.cpu() for part, y in parts])
