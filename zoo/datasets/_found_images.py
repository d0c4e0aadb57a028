"""The image files that a source holds, before any is decoded: on which side each is, its label, and its header."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import PurePath
from typing import Any, Generic

from zoo.datasets import Split
from zoo.datasets._folder_split import Sides
from zoo.errors import ZooError
from zoo.system.embedded import FileT, ImageFile
from zoo.system.folder_walk import HIDDEN
from zoo.system.image_files import Pages, Presentation
from zoo.system.image_scan import Scan, scan
from zoo.system.image_sources import listed_names

CLASSES_SHOWN = 20
"""The number of classes that are listed."""


@dataclass(frozen=True)
class Found(Generic[FileT]):
    """The image files of a source, with their sides, groups and classes, and what is left out."""

    name: str
    """The source, as it is printed."""
    place: str
    """The path, or whatever tells this source from all others, as it is listed where decoded images are kept."""
    version: str
    """A digest of the names, sizes and times of the files: another one when any of them changes."""
    files: Sequence[FileT]
    """The image files, in their order."""
    path: Callable[[FileT], PurePath]
    """The path of a file below the source."""
    split: Sides[FileT]
    key: Callable[[FileT], str]
    """A function that returns the text by which a file is put on a side: files of one text stay together."""
    classes: tuple[str, ...] = ()
    """The names of the labels 0, 1, …; empty where there are none."""
    labels: Mapping[FileT, int] = field(default_factory=dict)
    """The label of each image that is on a side, where there are classes."""
    classes_from: str = "the names of subfolders"
    """The words for where the classes come from."""
    chosen: str = ""
    """The text that tells these files from others of the same place."""
    left_out: Mapping[str, Sequence[PurePath]] = field(default_factory=dict)
    """The paths of what is left out besides what the split leaves out, by reason."""

    def warn(self) -> None:
        """Warn of what is left out, besides hidden files and those of tools."""
        for reason, names in [*self.left_out.items(), *self._by_split()]:
            if reason != HIDDEN:
                warnings.warn(f"{self.name}: left out {listed_names(names)}: {reason}", stacklevel=4)
        for doubt in filter(None, (self.split.doubt, self._lacking(range(len(self.classes)), self.files, "no images"))):
            warnings.warn(f"{self.name}: {doubt}", stacklevel=4)

    def notes(self) -> list[str]:
        """Say how many image files there are, on what they were divided, and what was left out."""
        found = f"{len(self.files):,} image files"
        reasons = [*self._by_split(), *self.left_out.items()]
        left_out = [f"left out {listed_names(names)}: {reason}" for reason, names in reasons]
        classes = _named(self.classes, range(len(self.classes)))
        named = [f"{len(self.classes):,} classes, from {self.classes_from}: {classes}"] if classes else []
        untrained = self._lacking(set(self.labels.values()), self.split.sides["train"], "nothing to train on")
        return [found, self.split.rule, *left_out, *named, *filter(None, [untrained])]

    def _lacking(self, labels: Iterable[int], files: Iterable[FileT], what: str) -> str:
        """Say which classes have no image among some files, if any."""
        lacking = sorted(set(labels) - {self.labels.get(file) for file in files}) if self.classes else []
        return f"{what} of {len(lacking):,} of the classes: {_named(self.classes, lacking)}" if lacking else ""

    def _by_split(self) -> list[tuple[str, Sequence[PurePath]]]:
        return [(reason, [self.path(file) for file in files]) for reason, files in self.split.left_out.items()]


def _named(classes: Sequence[str], labels: Sequence[int]) -> str:
    """Write the names of some classes with their labels, the first of them where there are many."""
    shown = ", ".join(f"{classes[label]} ({label})" for label in labels[:CLASSES_SHOWN])
    return shown + (", …" if len(labels) > CLASSES_SHOWN else "")


class Contents(Generic[FileT]):
    """The image files of a source, with their number and shapes as the headers of the files say.

    Args:
        found: the image files.
        presentation: the way from files to images; its range is replaced by that of the values where it is None.
    """

    def __init__(self, found: Found[FileT], presentation: Presentation) -> None:
        self.found = found
        self.pages: Pages = presentation.pages
        self.scan: Scan = _scan(found.version, tuple(found.files), presentation.pages, presentation.range)

    @cached_property
    def images(self) -> dict[Split, list[tuple[FileT, int]]]:
        """The images of each side: a file and a page of it."""
        images = self.scan.images(self.found.files, self.pages)
        sides = {side: set(files) for side, files in self.found.split.sides.items()}
        return {side: [(file, page) for file, page in images if file in files] for side, files in sides.items()}

    def of(self, split: Split) -> list[tuple[FileT, int]]:
        """Return the images of a side.

        Raises:
            ZooError: there are none.
        """
        if not self.images[split]:
            raise ZooError(
                f"data.path: {len(self.found.files)} image(s) under {self.found.name}, but none for the {split} split; "
                f"add images, or sort them into folders named train and test"
            )
        return self.images[split]

    def warn(self) -> None:
        """Warn of what is left out, and of pages and ranges that may not be what was meant."""
        self.found.warn()
        self.scan.warn(self.found.name, self.pages)

    def notes(self) -> list[str]:
        """Say what there is, on what it was divided, what was left out, and which range of values is used."""
        return [f"{self.found.name}: {line}" for line in (*self.found.notes(), *self.scan.describe())]


def digest_of(parts: Iterable[tuple[PurePath, int, int]]) -> str:
    """Return a digest of names, each with its size and its time or checksum."""
    digest = hashlib.sha256()
    for name, size, time in parts:
        digest.update(b"%b\0%d\0%d\0" % (name.as_posix().encode("utf-8", "surrogateescape"), size, time))
    return digest.hexdigest()


@lru_cache(maxsize=8)
def _scan(version: str, files: tuple[ImageFile, ...], pages: Pages, value_range: Any) -> Scan:
    """Scan a source once for both of its splits."""
    return scan(files, pages, value_range)
