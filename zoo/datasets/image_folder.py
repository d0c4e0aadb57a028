"""A folder of the user's own image files, of any size, made one shape, grey or colour.

Folders named train, test and val say on which side images are; without them, a share is held out by a digest of the
paths.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from zoo.datasets import ImageSet, Split
from zoo.datasets._folder_classes import Labels, found_classes, known_classes, why_no_classes
from zoo.datasets._folder_split import key_of, split_images
from zoo.datasets._found_images import Found, digest_of
from zoo.datasets._image_files import ImageFilesConfig, load
from zoo.registry import register_dataset
from zoo.schema.base import DatasetConfig, ImageShape
from zoo.schema.parsing import validate
from zoo.system.image_sources import images_at
from zoo.system.zip_files import version


class ImageFolderConfig(ImageFilesConfig):
    """A folder of your own images, resized."""

    name: Literal["image_folder"] = "image_folder"

    path: str = Field(
        description="The folder, a zip of it, a pattern of paths (`images/*.png`), or one image file. Subfolders of a "
        "folder are searched as well, links are followed."
    )
    group: Annotated[str, Field(min_length=1, max_length=200)] | Annotated[int, Field(ge=1, le=100)] | None = Field(
        None,
        description="The folders whose images stay on one side, as those of a patient must: a pattern of their names "
        "(`case_*`), or their level (1: those directly in `path`).",
    )
    test_list: str | None = Field(
        None, description="A text file that names the images or folders to hold out, one path below `path` a line."
    )
    classes: (
        Annotated[tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Field(max_length=10_000)] | None
    ) = Field(
        None,
        description="The names of the subfolders that are classes, in the order of their labels; `null`: those that "
        "there are, sorted, unless `group` is set; `[]`: none.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.group is not None and self.test_list is not None:
            raise ValueError("group and test_list exclude each other: the list decides")
        return self

    def found(self) -> Found[Path]:
        """List the image files, divided, with the classes that their folders name.

        Raises:
            ZooError: there is no such folder, or no image file in it.
        """
        files = images_at(self.root)
        split = split_images(files.base, files.paths, holdout=self.holdout, group=self.group, test_list=self.test_list)
        paths = sorted({*split.sides["train"], *split.sides["test"]})
        relative = [path.relative_to(files.root) for path in paths]
        classes: tuple[str, ...] = ()
        labels: Labels = []
        if self.classes:
            classes, labels = self.classes, known_classes(relative, self.classes)
        elif self.classes is None and self.group is None:
            classes, labels = found_classes(relative)
            if not classes and (why := why_no_classes(relative)):
                split = replace(split, doubt="; ".join(filter(None, [split.doubt, why])))
        labelled = {path: label for path, label in zip(paths, labels, strict=False) if label is not None}
        if classes:
            split = split.only(labelled, "images in no folder of data.classes")
        return Found(
            name=files.name,
            place=os.path.abspath(self.root),
            version=digest_of((path.relative_to(files.root), *version(path)) for path in files.paths),
            files=files.paths,
            path=lambda path: path.relative_to(files.root),
            split=split,
            key=lambda path: key_of(path.relative_to(files.root), self.group),
            classes=classes,
            labels=labelled,
            left_out={
                reason: [path.relative_to(files.root) for path in paths] for reason, paths in files.left_out.items()
            },
        )


def folder_for(path: str, shape: ImageShape, trained: DatasetConfig, classes: list[str] | None) -> DatasetConfig:
    """Return the settings of a folder whose images are presented as those that a model was trained on.

    Args:
        path: the folder.
        shape: the shape (C, H, W) of the model's images.
        trained: the data section of the model's recipe.
        classes: the names of the subfolders that are a conditional model's classes; None for any other model.

    Raises:
        ZooError: image files cannot have this shape.
    """
    fields = {"name": "image_folder", "path": path, "channels": shape[0], "size": list(shape[1:])}
    if isinstance(trained, ImageFilesConfig):
        fields |= trained.model_dump(mode="json", include={"fit", "pages", "range", "holdout"})
    if isinstance(trained, ImageFolderConfig):
        fields["group"] = trained.group
    fields |= {"binarization": trained.binarization, "classes": classes}
    config: DatasetConfig = validate(ImageFolderConfig, fields, path)
    return config


@register_dataset(config=ImageFolderConfig)
def image_folder(config: ImageFolderConfig, split: Split) -> ImageSet:
    """Load the images of a split, decoded once into a memory-mapped file.

    Raises:
        ZooError: there is no such folder, no image file in it for this split, or none that can be read.
    """
    return load(config, split)
