"""A trained model with its run folder and its images, each read when it is first needed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from zoo.datasets import ImageSet, load_images
from zoo.entries.loading import RunLocation, find
from zoo.errors import NotApplicable, ZooError
from zoo.models import Autoencoder
from zoo.runs.folder import Snapshots, load_folder, read_config, read_snapshots
from zoo.schema.base import Split
from zoo.schema.run_config import RunConfig


@dataclass
class TrainedModel:
    """A trained model, its run folder and its images, each read when it is first needed.

    Args:
        source: an entry or a run folder, as :func:`zoo.load` takes it.
        device: the device to compute on.
    """

    source: str | os.PathLike[str]
    device: str = "cpu"
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

    @property
    def train(self) -> ImageSet:
        """The training images."""
        return self.images("train")

    @property
    def test(self) -> ImageSet:
        """The test images."""
        return self.images("test")

    def images(self, split: Split) -> ImageSet:
        """Return the images of a split, which are looked for only once.

        Raises:
            NotApplicable: they are not here.
        """
        if split not in self._images:
            data = self.config.checked_recipe.data  # outside the try: a damaged run folder is no lack of images
            try:
                self.location.check_may_read(data)
                self._images[split] = load_images(data, split)
            except ZooError as error:
                self._images[split] = NotApplicable(str(error))
        images = self._images[split]
        if isinstance(images, NotApplicable):
            raise images
        return images
