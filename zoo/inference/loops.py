"""Loops over a set of images: in an epoch's order, or with a model in eval mode and isolated random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import TypeVar

import torch
from torch import Tensor, nn

from zoo.datasets import ImageSet, display_images
from zoo.inference.running_means import RunningMeans
from zoo.models import Autoencoder, Model
from zoo.objectives import Terms
from zoo.schema.base import DatasetConfig
from zoo.system.randomness import own_randomness
from zoo.system.seeds import mixed_seed, mixed_seed_63

PIXELS_AT_ONCE = 800_000
"""The most pixel values in a batch of images to be measured: 1,000 images of MNIST, fewer larger ones."""

SEED = 0
"""The seed of the noise in z and of the binarisation, so that the same model and images give the same values."""

T = TypeVar("T")
ProgressBar = Callable[[Iterable[T], int], Iterable[T]]
"""A function that takes a loop's items and their number, and yields the items while it shows how far the loop is."""


def no_progress(items: Iterable[T], total: int) -> Iterable[T]:
    """Return the items and show nothing."""
    return items


def epoch_permutation(images: int, seed: int, epoch: int) -> Tensor:
    """Return the order of the images in one epoch, int64 (N,).

    It is a function of its arguments alone, so that a resumed run needs no state.
    """
    return torch.randperm(images, generator=torch.Generator().manual_seed(mixed_seed_63(seed, epoch)))


def running_terms(
    images: ImageSet,
    data: DatasetConfig,
    model: Autoencoder,
    terms: Callable[[Model, Tensor], Terms],
    batch_size: int = 0,
    *,
    seed: int = SEED,
    order: Tensor | None = None,
    progress: ProgressBar[ImageSet] = no_progress,
    parts: Sequence[object] = (),
) -> RunningMeans:
    """Return the running means over all images of terms that are means over a batch.

    They are still on the device; :meth:`RunningMeans.read` waits for them. Labels are taken as they are, since to check
    them (:meth:`Autoencoder.check_labels`) is to wait, too. Images with dynamic binarisation are binarised the same way
    at every call, whatever noise is drawn.

    Args:
        images: the images, with labels for a conditional model.
        data: the data section, which says how images become numbers.
        model: the model, which is in eval mode meanwhile.
        terms: a function of the model, labels given, and a batch (B, C, H, W) in [0, 1].
        batch_size: images in a batch; 0 for :func:`eval_batch_size`.
        seed: the seed of the noise in z and of the binarisation.
        order: the indices of all images in the order that they are taken in; None for theirs.
        progress: a function that shows how far the loop is.
        parts: the modules and functions that ``terms`` calls, besides the model, unless they are the zoo's own.
    """
    means = RunningMeans(model.device)
    size = batch_size or eval_batch_size(images.images.shape[1:])
    with eval_mode(model, seed, terms, *parts):
        for index, batch in enumerate(progress(images.batches(size, order), -(-len(images) // size))):
            batch = batch.to(model.device)
            x = display_images(batch.images, data, binarization_seed(seed, index))
            means.add(terms(model.given(batch.labels), x), len(batch))
    return means


@contextmanager
def eval_mode(model: Autoencoder, seed: int = SEED, *parts: object) -> Iterator[None]:
    """Put the model and modules among ``parts`` in eval mode, without gradients, with random numbers from ``seed``.

    Args:
        model: the model.
        seed: the seed.
        parts: what else runs in the context, as for :func:`~zoo.system.randomness.own_randomness`.
    """
    modes = [(module, module.training) for module in (model, *parts) if isinstance(module, nn.Module)]
    for module, _ in modes:
        module.eval()
    try:
        with torch.no_grad(), own_randomness(seed, model.device, model, *parts):
            yield
    finally:
        for module, was_training in modes:
            module.train(was_training)


def binarization_seed(seed: int, batch: int) -> int:
    """Return a seed for binarising one batch, different for every batch and from the seed of the latent noise."""
    return mixed_seed(seed, batch)


def codes(
    model: Autoencoder,
    images: ImageSet,
    data: DatasetConfig,
    *,
    seed: int = SEED,
    progress: ProgressBar[ImageSet] = no_progress,
) -> Tensor:
    """Return the posterior means (N, D) of images; the arguments are those of :func:`running_terms`."""
    means: list[Tensor] = []

    def terms(model: Model, x: Tensor) -> Terms:
        means.append(model.encode(x).mean)
        return {}

    model.check_labels(images.labels)
    running_terms(images, data, model, terms, seed=seed, progress=progress)
    return torch.cat(means)


def eval_batch_size(shape: Sequence[int]) -> int:
    """Return the number of images (C, H, W) to measure at once, which depends on the shape alone: values repeat."""
    return max(1, min(1000, PIXELS_AT_ONCE // prod(shape)))
