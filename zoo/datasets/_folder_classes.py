"""The classes of images in a folder: the names of the subfolders that they lie in."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePath

from zoo.system.files import user_path
from zoo.system.image_sources import SIDES, printable
from zoo.system.wildcards import has_wildcards

MAX_CLASSES = 1000
"""Subfolders are taken for classes up to this number, if they hold two images each on average."""

MAX_NUMBER = 10**9
"""The largest whole number that is taken for the label of a class."""

Labels = list[int | None]
"""The label of each image; None where it is in no class."""


def folders_of(relative: PurePath) -> list[str]:
    """Return the names of the folders that an image lies in, without the one that names its split."""
    names = list(relative.parts[:-1])
    side = next((name for name in names if name.lower() in SIDES), None)
    if side is not None:
        names.remove(side)
    return [unicodedata.normalize("NFC", printable(Path(name))) for name in names]


def found_classes(images: Sequence[PurePath]) -> tuple[tuple[str, ...], Labels]:
    """Return the classes of images, sorted, and the label of each image; no classes where some image lies in none.

    Folders that all images have in common are no classes. Names that are whole numbers are sorted as such.

    Args:
        images: the paths below the folder.
    """
    folders = [folders_of(image) for image in images]
    while folders and all(folders) and len({names[0] for names in folders}) == 1:
        folders = [names[1:] for names in folders]
    classes = {names[0] for names in folders if names}
    if not all(folders) or not 1 < len(classes) <= min(MAX_CLASSES, len(images) // 2):
        return (), [None] * len(images)
    numbers = all(name.isdecimal() for name in classes)
    names = tuple(sorted(classes, key=lambda name: (int(name) if numbers else 0, name)))
    labels = {name: label for label, name in enumerate(names)}
    return names, [labels[folder[0]] for folder in folders]


def why_no_classes(images: Sequence[PurePath]) -> str:
    """Say which few images keep the names of subfolders from being classes, as they lie in none; empty if none do."""
    loose = [image for image in images if not folders_of(image)]
    others = [image for image in images if folders_of(image)]
    if not 0 < len(loose) <= len(images) // 10 or not found_classes(others)[0]:
        return ""
    return (
        f"{len(loose):,} of {len(images):,} images (first: {printable(Path(loose[0]))}) are in no subfolder, so that "
        f"the names of subfolders are no classes; move them, or set data.classes"
    )


def known_classes(images: Sequence[PurePath], names: Sequence[str]) -> Labels:
    """Return the label of each image: the number of the first of its folders that is one of the ``names``.

    No folder's name has a slash in it: ``T-shirt-top`` and ``T-shirt_top`` stand for ``T-shirt/top``.
    """
    normal = [unicodedata.normalize("NFC", name) for name in names]
    labels = {name.replace("/", mark): label for mark in "-_/" for label, name in enumerate(normal)}
    return [next((labels[name] for name in folders_of(image) if name in labels), None) for image in images]


def numbered_classes(images: Sequence[PurePath]) -> Labels:
    """Return the label of each image where classes have no names: the first of its folders that is a whole number."""
    longest = len(str(MAX_NUMBER))  # longer ones are times or serial numbers
    return [
        next((int(name) for name in folders_of(image) if name.isdecimal() and len(name) <= longest), None)
        for image in images
    ]


def path_and_classes(source: str) -> tuple[Path, list[str]]:
    """Return the path or pattern, and the classes that are asked for, of ``./images`` or ``./images:cat,dog``."""
    path, colon, classes = source.rpartition(":")
    if not colon or user_path(source).exists() or not (user_path(path).exists() or has_wildcards(path)):
        return user_path(source), []
    return user_path(path), [name.strip() for name in classes.split(",") if name.strip()]
