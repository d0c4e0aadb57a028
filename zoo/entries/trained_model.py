"""A trained model with its run folder and its images, each read when it is first needed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from zoo.datasets import ImageSet, load_images, split_off
from zoo.entries.chosen_dataset import chosen_dataset, class_names
from zoo.entries.loading import RunLocation, find
from zoo.errors import NotApplicable, ZooError
from zoo.models import Autoencoder
from zoo.runs.folder import Snapshots, load_folder, read_config, read_snapshots
from zoo.schema.base import DatasetConfig, Split
from zoo.schema.run_config import RunConfig

SAME_IMAGES, OTHER_IMAGES = "the same images as in training", "other images than in training"
"""The words for images whose sha256 is, and is not, that of the card."""


@dataclass
class TrainedModel:
    """A trained model, its run folder and its images, each read when it is first needed.

    Args:
        source: an entry or a run folder, as :func:`zoo.load` takes it.
        device: the device to compute on.
        data: the dataset or the folder of images to use; None: what the model was trained on.
    """

    source: str | os.PathLike[str]
    device: str = "cpu"
    data: str | None = None
    _images: dict[Split, ImageSet | NotApplicable] = field(default_factory=dict, init=False)

    @cached_property
    def location(self) -> RunLocation:
        """The run folder, and the source that it comes from."""
        return find(self.source, full=True)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.location.folder

    @cached_property
    def config(self) -> RunConfig:
        """The content of ``config.json``, the facts of the card."""
        return read_config(self.folder)

    @cached_property
    def model(self) -> Autoencoder:
        """The model, in eval mode."""
        return load_folder(self.folder, self.device, trusted=self.location.trusted)

    @cached_property
    def snapshots(self) -> Snapshots:
        """The reconstructions that were kept during training."""
        return read_snapshots(self.folder)

    @cached_property
    def dataset(self) -> DatasetConfig:
        """The settings of the dataset that the images are of.

        Raises:
            ZooError: ``data`` names none that suits the model.
            NotApplicable: the run comes from the Hub, and its images are its author's own.
        """
        return chosen_dataset(self.data, self.config, self.location)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes that the model was trained on, as far as they are known."""
        return class_names(self.config, self.location)

    @property
    def train(self) -> ImageSet:
        """The training images, without those that were cut off for validation."""
        return self.images("train")

    @property
    def test(self) -> ImageSet:
        """The test images."""
        return self.images("test")

    def images(self, split: Split) -> ImageSet:
        """Return the images of a split, which are looked for only once.

        Raises:
            NotApplicable: the images of the recipe are not here.
            ZooError: those that ``data`` names are not here.
        """
        if split not in self._images:
            recipe = self.config.checked_recipe  # outside the try: a damaged run folder is no lack of images
            try:
                loaded = load_images(self.dataset, split)
                self._images[split] = split_off(loaded, recipe.training.validation)[0] if split == "train" else loaded
            except NotApplicable as error:
                self._images[split] = error
            except ZooError as error:
                if self.data is not None:
                    raise
                remedy = "; if they are elsewhere now, say where: --data ./images" if recipe.data.private else ""
                self._images[split] = NotApplicable(f"{error}{remedy}")
        images = self._images[split]
        if isinstance(images, NotApplicable):
            raise images
        return images

    def origin_of_images(self, split: Split) -> str:
        """Say in words whether the images of a split are those of the training."""
        return SAME_IMAGES if self.has_images_of_card(split) else OTHER_IMAGES

    def has_images_of_card(self, split: Split) -> bool:
        """Return whether the images of a split are those that the card was measured on, by their sha256."""
        return self.images(split).digest == self.config.dataset[split].sha256
