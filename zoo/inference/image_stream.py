"""Streams of images, a batch at a time, however many there are: from a folder or from the split of a dataset.

The images of a folder are decoded while the model works and not kept; memory does not grow with the folder.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from zoo.datasets import load_images, where_labelled
from zoo.datasets._folder_classes import path_and_classes
from zoo.errors import UnknownNameError, ZooError
from zoo.inference.file_stream import of_files, trained_on
from zoo.inference.image_batches import ImageBatch, ImageStream
from zoo.inference.loops import SEED, eval_batch_size, eval_mode
from zoo.inference.noise import Noise, presented
from zoo.models import Autoencoder, Model
from zoo.models.inputs import checked_images, whole_number
from zoo.registry import DATASETS
from zoo.schema.base import DatasetConfig, Split, format_shape
from zoo.schema.parsing import whole_numbers
from zoo.schema.recipe import parse_data
from zoo.system.files import user_path
from zoo.system.image_sources import names_images
from zoo.system.pixel_range import ValueRange


@dataclass(frozen=True)
class PreparedBatch:
    """A batch in the form in which a model takes it."""

    batch: ImageBatch
    x: Tensor
    """The images on the model's device, float (B, C, H, W) in [0, 1], binarised as in the model's training."""
    noise: Noise
    """The source of random numbers, with a stream for each image."""
    model: Model
    """The model, with the labels of these images set if it is conditional."""


T = TypeVar("T")


def map_images(
    model: Autoencoder, images: ImageStream, task: Callable[[PreparedBatch], T], *, seed: int = SEED
) -> Iterator[tuple[ImageBatch, T]]:
    """Yield each batch with the result of a task on it.

    The task runs in eval mode, without gradients, with random numbers that depend on the seed and the image alone.

    Args:
        model: the model that the batches are prepared for.
        images: the stream.
        task: a function of a prepared batch.
        seed: the seed of the random numbers, not negative.

    Raises:
        ZooError: the model is conditional and the images have no labels, or it is no model.
    """
    seed = whole_number(seed, "the seed")
    data = trained_on(model)
    images = as_stream(images, model)
    for batch in images.batches(eval_batch_size(model.image_shape)):
        model.check_labels(batch.labels)
        noise = Noise(batch.images, seed)
        x = presented(batch.images, data, noise, binarized=images.binarized).to(model.device)
        with eval_mode(model, seed, task):
            result = task(PreparedBatch(batch, x, noise, model.given(batch.labels)))
        yield batch, result


def as_stream(images: ImageStream | Tensor | str | os.PathLike[str], model: Autoencoder) -> ImageStream:
    """Return images of any kind as a stream: a tensor (B, C, H, W), floats in [0, 1] or uint8; a folder or a dataset.

    Raises:
        ZooError: they are something else, or there are none.
    """
    if isinstance(images, ImageStream):
        return images
    if not isinstance(images, Tensor | np.ndarray):
        return open_images(images, model)
    float32 = torch.empty(0, dtype=torch.float32, device="cpu")
    pixels = images if isinstance(images, Tensor) else torch.as_tensor(images, device="cpu")
    if pixels.dtype is not torch.uint8:
        checked = checked_images(images, model.image_shape, float32, training=False)
        pixels = (checked.detach() * 255).round().to(torch.uint8)
    elif pixels.shape[1:] != model.image_shape:
        checked_images(images, model.image_shape, float32, training=False)

    if not len(pixels):
        raise ZooError("there are no images: their tensor is empty")

    def batches(size: int) -> Iterator[ImageBatch]:
        for start in range(0, len(pixels), size):
            part = pixels[start : start + size].cpu()
            yield ImageBatch([f"{start + number}" for number in range(len(part))], part, None)

    return ImageStream("images", len(pixels), batches)


def open_images(
    source: str | os.PathLike[str], model: Autoencoder, value_range: ValueRange | None = None
) -> ImageStream:
    """Open images in files, resized to the model's shape, or those of a dataset.

    Args:
        source: a folder as a path (``./images``), a zip of one (``./images.zip``), a pattern of paths
            (``./images/*.png``) or one image file, perhaps only some of the subfolders that are its classes
            (``./images:cat,dog``); or a dataset (``mnist``: its test split; ``mnist/train``), perhaps only some of its
            classes (``mnist:9``, ``mnist/train:0-4,7``). The dataset that the model was trained on
            has the settings of its recipe, but all classes and images.
        model: the loaded model that will take the images.
        value_range: the values of files of more than 8 bits that become black and white; None: those of the model's
            recipe, or else 0 and 65,535, 0 and 1 for floats.

    Raises:
        ZooError: there are no images, they do not have the model's shape, or the model is conditional and they have no
            labels.
    """
    if not isinstance(source, str | os.PathLike) or source == "":
        got = repr(source) if not isinstance(source, Tensor | np.ndarray) else type(source).__name__
        raise ZooError(f"images are a folder, such as './images', or a dataset, such as 'mnist'; got {got[:80]}")
    if isinstance(source, os.PathLike):
        return of_files(user_path(source), model, (), checked_range(value_range))
    if names_images(source):
        path, chosen = path_and_classes(source)
        return of_files(path, model, chosen, checked_range(value_range))
    if value_range is not None:
        raise ZooError(f"a range of values is for image files; {source!r} is a dataset")
    dataset, colon, numbers = source.partition(":")
    name, _, split = dataset.partition("/")
    if split not in ("", "train", "test"):
        raise ZooError(f"{source!r}: write ./{source} for a folder, or {name}/train or {name}/test for a dataset")
    try:
        classes = tuple(whole_numbers(numbers)) if colon else None
    except ValueError as error:
        raise ZooError(f"{source!r}: write classes as in {dataset}:9 or {dataset}:0-4,7") from error
    config = _dataset(name, source, trained_on(model))
    if config.image_shape != model.image_shape:
        raise ZooError(
            f"the images of {name} are {format_shape(config.image_shape)}, those of the model "
            f"{format_shape(model.image_shape)} (channels, height, width); save them as image files and name the "
            f"folder, then they are resized"
        )
    return of_dataset(config, "train" if split == "train" else "test", classes)


def checked_range(value_range: ValueRange | None) -> ValueRange | None:
    """Return a range as two floats.

    Raises:
        ZooError: it is none.
    """
    if value_range is None:
        return None
    try:
        low, high = map(float, value_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ZooError(f"a range is two numbers, the values for black and for white; got {value_range!r}")
    return low, high


def _dataset(name: str, source: str, trained: DatasetConfig) -> DatasetConfig:
    """Return the settings of the named dataset: without limits if it is the ``trained`` one, else the defaults."""
    if name == trained.name:
        return trained.model_copy(update={"only_classes": None, "train_images": None, "test_images": None})
    if name not in DATASETS.names():
        hint = f" (for the folder, write ./{source})" if Path(source).is_dir() else ""
        raise UnknownNameError("dataset", name, DATASETS.names(), hint)
    return parse_data({"name": name}, f"the dataset {name!r}")


def of_dataset(config: DatasetConfig, split: Split, classes: tuple[int, ...] | None = None) -> ImageStream:
    """Open a split, or some classes of it; dynamic binarisation is left to :func:`map_images`."""
    images = load_images(config, split)
    indices: Sequence[int] = range(len(images))
    if classes is not None:
        selected = where_labelled(images, classes)
        images, indices = images.chosen(selected), selected.tolist()

    def batches(size: int) -> Iterator[ImageBatch]:
        start = 0
        for part in images.batches(size):
            names = [f"{config.name}/{split}/{index}" for index in indices[start : start + len(part)]]
            yield ImageBatch(names, part.images, part.labels)
            start += len(part)

    return ImageStream(f"{config.name}/{split}", len(images), batches, binarized=config.binarization == "fixed")
