"""Shards of WebDataset: tar files of images with their labels, read where they are."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import Field

from zoo.datasets import ImageSet, Split
from zoo.datasets._folder_split import by_keys, by_names
from zoo.datasets._found_images import Found, digest_of
from zoo.datasets._image_files import ImageFilesConfig, load
from zoo.datasets._named_labels import labels_by_name
from zoo.datasets._shards import USUAL_LABEL, samples_in, shards_at, side_of_image
from zoo.registry import register_dataset
from zoo.system.embedded import Embedded
from zoo.system.image_sources import printable
from zoo.system.zip_files import version

Ending = Annotated[str, Field(min_length=1, max_length=200)]


class WebDatasetConfig(ImageFilesConfig):
    """Shards of WebDataset with your own images, resized."""

    name: Literal["webdataset"] = "webdataset"

    path: str = Field(
        description="A pattern of the paths of tar files (`shards/*.tar`), a folder of them, or one. Folders, or words "
        "in the names of shards, such as `train` and `test`, say on which side images are."
    )
    holdout: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="The share of the samples that is held out for testing, by their keys."
    )
    image: Ending | None = Field(
        None, description="The ending of the images, where a sample has several: `jpg`, `input.png`."
    )
    label: Ending | None = Field(
        None,
        description="The ending of the files that hold the label, a word or a whole number, or a field of the JSON "
        "files (`json.species`); `null`: `cls`, where there are such files.",
    )

    def found(self) -> Found[Embedded]:
        """List the images in the shards, divided, with their labels.

        Raises:
            ZooError: there are no tar files, one is damaged, or no image is in them.
        """
        root, shards, left_out = shards_at(self.root)
        samples = samples_in(root, shards, self.image, self.label)
        split = by_names({image: side_of_image(image.path) for image in samples.images}, "folders and shards")
        split = split or by_keys(samples.keys, self.holdout, "samples", "keys")
        where = f"{self.label or USUAL_LABEL} in the shards"
        classes: tuple[str, ...] = ()
        labels: dict[Embedded, int] = {}
        if self.classes or (self.classes is None and samples.words):
            classes, labels = labels_by_name(samples.words, self.classes or (), where)
            split = split.only(labels, "images without a label of data.classes")
        return Found(
            name=printable(self.root),
            place=os.path.abspath(self.root),
            chosen=f" {self.image}" if self.image else "",
            version=digest_of((path.relative_to(root), *version(path)) for path in shards),
            files=samples.images,
            path=lambda image: image.path,
            split=split,
            key=lambda image: samples.keys[image],
            classes=classes,
            labels=labels,
            classes_from=where,
            left_out=dict(samples.left_out)
            | {reason: [path.relative_to(root) for path in paths] for reason, paths in left_out.items()},
        )


@register_dataset(config=WebDatasetConfig)
def webdataset(config: WebDatasetConfig, split: Split) -> ImageSet:
    """Load the images of a split, decoded once into a memory-mapped file.

    Raises:
        ZooError: there are no tar files, one is damaged, or no image of them can be read.
    """
    return load(config, split)
