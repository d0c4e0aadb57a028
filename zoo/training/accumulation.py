"""A batch that goes through the model in parts, whose gradients are averaged, so that memory is needed for a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from zoo.objectives import Terms

Gradients = Sequence[Tensor | None]


def parts_of(images: int, count: int) -> list[slice]:
    """Return ``count`` parts of a batch, or fewer, so that each has two images: BatchNorm cannot normalise one."""
    count = max(1, min(count, images // 2))
    return [slice(*bounds) for bounds in pairwise(images * part // count for part in range(count + 1))]


def accumulated(
    parts: Sequence[slice], backward: Callable[[int, slice], tuple[Terms, Gradients]]
) -> tuple[Terms, Gradients]:
    """Return the loss terms and gradients of a whole batch.

    Args:
        parts: its parts.
        backward: a function from the number of a part, and the part, to the means of its terms over its images and
            their gradients.
    """
    if len(parts) == 1:
        return backward(0, parts[0])
    images = parts[-1].stop
    terms: Terms = {}
    gradients: list[Tensor | None] = []
    for index, part in enumerate(parts):
        weight = (part.stop - part.start) / images
        found, own = backward(index, part)
        terms = {name: terms.get(name, 0) + weight * value.detach() for name, value in found.items()}
        scaled = [None if gradient is None else weight * gradient for gradient in own]
        gradients = [add(*pair) for pair in zip(gradients, scaled, strict=True)] if gradients else scaled
    return terms, gradients


def add(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Return the sum of two gradients, of which None is zero."""
    if first is None or second is None:
        return second if first is None else first
    return first + second
