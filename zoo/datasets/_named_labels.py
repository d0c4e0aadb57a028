"""Labels that stand beside images as words or numbers, and the classes that they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zoo.errors import ZooError, suggest
from zoo.system.embedded import FileT

MAX_CLASSES = 10_000
"""The most classes that are told apart; a column with more values is no label."""


def classes_in(words: Iterable[str], where: str) -> tuple[str, ...]:
    """Return the classes that there are, sorted; whole numbers as such.

    Args:
        words: the word or number of each image.
        where: the words for where they are from.

    Raises:
        ZooError: there are too many of them.
    """
    names = set(words)
    if len(names) > MAX_CLASSES:
        raise ZooError(f"data.label: {where} has {len(names):,} different values, too many for classes")
    numbers = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))


def labels_by_name(
    words: Mapping[FileT, str], classes: tuple[str, ...], where: str
) -> tuple[tuple[str, ...], dict[FileT, int]]:
    """Return the classes, and the labels of the images that are in one.

    Args:
        words: the word or number of each image that has one.
        classes: the names of the classes in the order of their labels; none: those that there are.
        where: the words for where they are from.

    Raises:
        ZooError: no image is in a class, or there are too many classes.
    """
    names = classes or classes_in(words.values(), where)
    numbers = {name: label for label, name in enumerate(names)}
    labels = {image: numbers[word] for image, word in words.items() if word in numbers}
    if not labels:
        there = classes_in(words.values(), where)
        raise ZooError(f"data.classes: {where} has no {names[0]!r}{suggest(names[0], there, there[:5])}")
    return names, labels
