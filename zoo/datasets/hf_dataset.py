"""Datasets of Hugging Face: from the Hub at a revision, or from a folder, read by the library `datasets`.

No code of a dataset is ever run. Its image files are decoded here, as those of a folder are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from zoo.datasets import ImageSet, Split
from zoo.datasets._folder_split import Sides, by_keys, on_both_sides
from zoo.datasets._found_images import Found, digest_of
from zoo.datasets._hf_tables import commit_of, images_in, splits_in, splits_on_hub, values_of, version_of, words_in
from zoo.datasets._image_files import ImageFilesConfig, load
from zoo.datasets._named_labels import labels_by_name
from zoo.errors import ZooError, suggest
from zoo.registry import register_dataset
from zoo.system.embedded import Embedded
from zoo.system.files import is_path, user_path
from zoo.system.image_sources import printable

ADDRESS = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
"""A dataset on the Hub, ``owner/name`` or ``owner/name@revision``."""

HELD_OUT = ("test", "validation", "valid", "val")
"""The names of the splits that are tested, the first that there is."""

Name = Annotated[str, Field(min_length=1, max_length=200)]


class HFDatasetConfig(ImageFilesConfig):
    """A dataset of Hugging Face, on the Hub or in a folder, resized."""

    name: Literal["hf_dataset"] = "hf_dataset"

    path: str = Field(
        description="The dataset on the Hub, `owner/name` or `owner/name@revision`; the commit is written into the "
        "recipe that is stored with the weights. Or a folder that `save_to_disk` has written, parquet files or one."
    )
    holdout: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="The share of the images, or of their groups, that is held out where no split is for testing."
    )
    subset: Name | None = Field(
        None, description="The configuration of the dataset, where it has several; `null`: its default."
    )
    column: Name = Field("image", description="The column of the images.")
    label: Name | None = Field(None, description="The column of the labels, words or whole numbers; `null`: none.")
    group: Name | None = Field(
        None, description="The column whose values keep images on one side of a held-out share, as a patient's number."
    )
    train_split: Name = Field("train", description="The split that is trained on.")
    test_split: Name | None = Field(
        None,
        description="The split that is tested; `null`: `test`, else `validation`, else a share of `train_split` is "
        "held out.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.train_split == self.test_split:
            raise ValueError("train_split and test_split must differ; null for test_split holds a share out")
        return self

    @property
    def private(self) -> bool:
        """True if the dataset is in a folder of this machine."""
        return is_path(self.path) or user_path(self.path).exists()

    @property
    def public_name(self) -> str | None:
        """The dataset's name on the Hub, where it is there."""
        return self._address()[0]

    @property
    def presented(self) -> str:
        """The words for which dataset it is, and for its range of values."""
        return ("" if self.private else f" {self.path}") + super().presented

    def resolved(self, *, labels: bool) -> Self:
        """Return these settings with the commit of the dataset, the range of its values, and its classes if they count.

        Raises:
            ZooError: there is no such dataset, or it cannot be read.
        """
        name, revision = self._address()
        pinned = self.model_copy(update={"path": f"{name}@{commit_of(name, revision)}"}) if name else self
        return super(HFDatasetConfig, pinned).resolved(labels=labels)

    def found(self) -> Found[Embedded]:
        """List the images of the two splits, with their labels.

        Raises:
            ZooError: there is no such dataset, split or column, or it cannot be read.
        """
        name, revision = self._address()
        splits = splits_in(self.root, self.path) if name is None else splits_on_hub(name, revision, self.subset)
        used: dict[Split, Any] = {"train": self._split(splits, "train_split", self.train_split)}
        test = self.test_split or next((split for split in HELD_OUT if split in splits), None)
        if test is not None and test != self.train_split:
            used["test"] = self._split(splits, "test_split", test)
        images: dict[Split, list[Embedded]] = {}
        words: dict[Embedded, str] = {}
        groups: dict[Embedded, str] = {}
        known: tuple[str, ...] = ()
        for side, table in used.items():
            split = PurePosixPath(self.train_split if side == "train" else str(test))
            images[side] = rows = images_in(table, self._column(table, "column", self.column), split)
            if self.group is not None:
                found = values_of(table, self._column(table, "group", self.group))
                groups |= {image: str(value) for image, value in zip(rows, found, strict=True) if value is not None}
            if self.label is not None:
                known, names = words_in(table, self._column(table, "label", self.label))
                words |= {image: word for image, word in zip(rows, names, strict=True) if word is not None}
        if "test" in images:
            sides = Sides(images, f"by the splits {self.train_split} and {test}")
            sides = replace(sides, doubt=on_both_sides(sides, groups))
        else:
            keys = {image: groups.get(image, image.path.as_posix()) for image in images["train"]}
            what, kind = ("images", "numbers") if self.group is None else ("groups", f"values of {self.group}")
            sides = by_keys(keys, self.holdout, what, kind)
        where = f"the column {self.label}"
        classes: tuple[str, ...] = ()
        labels: dict[Embedded, int] = {}
        if self.label is not None and self.classes != ():
            classes, labels = labels_by_name(words, self.classes or known, where)
            sides = sides.only(labels, "images without a label, or of none in data.classes")
        place = self.path if name else os.path.abspath(self.root)
        return Found(
            name=self.path if name else printable(self.root),
            place=place,
            chosen=f" {self.subset} {self.column} {self.train_split} {test}",
            version=digest_of(part for table in used.values() for part in version_of(table)),
            files=[image for side in images.values() for image in side],
            path=lambda image: image.path,
            split=sides,
            key=lambda image: groups.get(image, image.path.as_posix()),
            classes=classes,
            labels=labels,
            classes_from=where,
        )

    def _address(self) -> tuple[str | None, str | None]:
        """Return the name and the revision of a dataset on the Hub; no name for one in a folder."""
        if self.private:
            return None, None
        match = ADDRESS.fullmatch(self.path)
        if match is None:
            raise ZooError(
                f"data.path: {self.path!r} is neither a folder nor a dataset on the Hub; write ./NAME for a folder, "
                f"or owner/name@revision"
            )
        return match["name"], match["revision"]

    def _split(self, splits: Mapping[str, Any], field: str, name: str) -> Any:
        if name not in splits:
            raise ZooError(f"data.{field}: {self.path} has no split {name!r}{suggest(name, splits)}")
        return splits[name]

    def _column(self, table: Any, field: str, name: str) -> str:
        if name not in table.features:
            raise ZooError(f"data.{field}: {self.path} has no column {name!r}{suggest(name, table.features)}")
        return name


@register_dataset(config=HFDatasetConfig)
def hf_dataset(config: HFDatasetConfig, split: Split) -> ImageSet:
    """Load the images of a split, decoded once into a memory-mapped file.

    Raises:
        ZooError: there is no such dataset, split or column, or no image of it can be read.
        NotApplicable: the package datasets is not installed.
    """
    return load(config, split)
