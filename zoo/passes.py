"""Going over a set of images with a model: in eval mode, without gradients, with random numbers of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from zoo.autoencoder import Autoencoder, Model
from zoo.data import ImageSet, pictured
from zoo.objective import Terms
from zoo.schema.base import DatasetConfig
from zoo.system.devices import isolated_randomness
from zoo.totals import Totals

PIXELS = 800_000
"""In a batch of images to be measured: 1,000 of MNIST, fewer of larger ones."""

SEED = 0
"""Of the noise in z and of the binarisation: the same model and images give the same figures."""

T = TypeVar("T")
Track = Callable[[Iterable[T], int], Iterable[T]]
"""Something that shows how far a loop is: the loop's items and how many there are → the items."""


def untracked(items: Iterable[T], total: int) -> Iterable[T]:
    """Shows nothing."""
    return items


def mean_over(
    images: ImageSet,
    data: DatasetConfig,
    model: Autoencoder,
    terms: Callable[[Model, Tensor], Terms],
    batch_size: int = 0,
    *,
    seed: int = SEED,
    track: Track[ImageSet] = untracked,
) -> dict[str, float]:
    """The mean over images of terms that are means over a batch (one that fits, by default).

    Images that are binarised anew at every use are so here in the same way at every call, whatever noise is drawn.
    """
    model.check_labels(images.labels)
    totals = Totals(model.device)
    size = batch_size or fitting(images)
    with measuring(model, seed):
        for index, batch in enumerate(track(images.batches(size), -(-len(images) // size))):
            batch = batch.to(model.device)
            x = pictured(batch.images, data, seed_of(seed, index))
            totals.add(terms(model.given(batch.labels), x), len(batch))
    return totals.means()


@contextmanager
def measuring(model: Autoencoder, seed: int = SEED) -> Iterator[None]:
    """Inside, the model is in eval mode, without gradients, and random numbers start from the seed."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), isolated_randomness(seed, model.device):
            yield
    finally:
        model.train(was_training)


def seed_of(seed: int, batch: int) -> int:
    """Of the binarisation of a batch: unlike that of the noise, and of every other batch."""
    return int(np.random.SeedSequence((seed, batch)).generate_state(1)[0])


def codes(model: Autoencoder, images: ImageSet, data: DatasetConfig, *, track: Track[ImageSet] = untracked) -> Tensor:
    """The posterior means (N, D) of images."""
    found: list[Tensor] = []

    def terms(model: Model, x: Tensor) -> Terms:
        found.append(model.encode(x).mean)
        return {}

    mean_over(images, data, model, terms, track=track)
    return torch.cat(found)


def fitting(images: ImageSet) -> int:
    """How many images to measure at once: a function of their shape alone, so that figures can be repeated."""
    return max(1, min(1000, PIXELS // images.images[0].numel()))
