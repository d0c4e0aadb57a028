"""Pictures in a stream, a batch at a time, however many there are: of a folder, or of a dataset's split.

What a folder holds is decoded while the model works, and forgotten afterwards; memory does not grow with the folder.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.autoencoder import Autoencoder, Model
from zoo.data import Split, load_images, where_labelled
from zoo.errors import UnknownNameError, ZooError, first_line
from zoo.noise import Noise, presented
from zoo.passes import PIXELS, SEED, measuring
from zoo.registry import DATASETS
from zoo.schema.base import DatasetConfig, ImageShape, spell
from zoo.schema.parsing import whole_numbers
from zoo.schema.recipe import parse_data
from zoo.system.files import is_path
from zoo.system.image_files import pictures_under, read_picture


@dataclass(frozen=True)
class Batch:
    """Some of the pictures."""

    names: list[str]
    """The file of each, or its place in a dataset: ``mnist/test/17``."""
    images: Tensor
    """uint8 (B, C, H, W)."""
    labels: Tensor | None
    """int64 (B,)."""


@dataclass(frozen=True)
class Pictures:
    """What can be gone through, more than once."""

    name: str
    size: int
    """How many there are; some of a folder may turn out not to be pictures."""
    batches: Callable[[int], Iterator[Batch]]
    """So many at a time."""
    binarized: bool = False
    """Whether they have been, once and for all, with their dataset."""


@dataclass(frozen=True)
class Seen:
    """A batch as a model gets it."""

    batch: Batch
    x: Tensor
    """float (B, C, H, W) in [0, 1], on the model's device, binarised as in the model's training."""
    noise: Noise
    """Each picture's own."""
    model: Model
    """With the labels of these pictures set, if it is conditional."""


T = TypeVar("T")


def through(
    model: Autoencoder, pictures: Pictures, task: Callable[[Seen], T], *, seed: int = SEED
) -> Iterator[tuple[Batch, T]]:
    """What a task finds in all pictures, batch by batch: in eval mode, without gradients, with random numbers that
    depend on the seed and the picture alone.

    Raises:
        ZooError: the model is conditional and the pictures have no labels.
    """
    data = trained_on(model)
    size = max(1, min(1000, PIXELS // int(np.prod(model.image_shape))))
    for batch in pictures.batches(size):
        model.check_labels(batch.labels)
        noise = Noise(batch.images, seed)
        x = presented(batch.images, data, noise, binarized=pictures.binarized).to(model.device)
        with measuring(model, seed):
            found = task(Seen(batch, x, noise, model.given(batch.labels)))
        yield batch, found


def trained_on(model: Autoencoder) -> DatasetConfig:
    """The data section of the model's recipe.

    Raises:
        ZooError: it has none, because it was not loaded.
    """
    if model.config is None:
        raise ZooError("this model was built, not loaded: its recipe does not come with it")
    return model.config.checked_recipe.data


def open_pictures(source: str | os.PathLike[str], model: Autoencoder) -> Pictures:
    """The pictures of a folder, in the model's shape, or of a dataset.

    Args:
        source: a folder as a path (``./pictures``); or a dataset (``mnist``: its test split; ``mnist/train``), perhaps
            only some of its classes (``mnist:9``, ``mnist/train:0-4,7``). The dataset that the model was trained on
            has the settings of its recipe, but all classes and images.
        model: what they are for.

    Raises:
        ZooError: there are none, they have another shape than the model's, or no labels for a conditional one.
    """
    if isinstance(source, os.PathLike) or is_path(source):
        if model.classes:
            raise ZooError(
                f"this model is conditional and needs labels, which a folder has not; name a dataset, such as "
                f"{trained_on(model).name}"
            )
        return of_folder(Path(os.path.expanduser(source)), model.image_shape)
    whole, colon, chosen = source.partition(":")
    name, _, split = whole.partition("/")
    if split not in ("", "train", "test"):
        raise ZooError(f"{source!r}: write ./{source} for a folder, or {name}/train or {name}/test for a dataset")
    try:
        classes = tuple(whole_numbers(chosen)) if colon else None
    except ValueError as error:
        raise ZooError(f"{source!r}: write classes as in {whole}:9 or {whole}:0-4,7") from error
    config = _dataset(name, source, trained_on(model))
    if config.image_shape != model.image_shape:
        raise ZooError(
            f"the images of {name} are {spell(config.image_shape)}, those of the model {spell(model.image_shape)} "
            f"(channels, height, width); save them as pictures and name the folder, then they are resized"
        )
    return of_dataset(config, "train" if split == "train" else "test", classes)


def _dataset(name: str, source: str, own: DatasetConfig) -> DatasetConfig:
    """The model's own without its limits, or another as it is."""
    if name == own.name:
        return own.model_copy(update={"only_classes": None, "train_images": None, "test_images": None})
    if name not in DATASETS.names():
        hint = f" (for the folder, write ./{source})" if Path(source).is_dir() else ""
        raise UnknownNameError("dataset", name, DATASETS.names(), hint)
    return parse_data({"name": name}, f"the dataset {name!r}")


def of_dataset(config: DatasetConfig, split: Split, classes: tuple[int, ...] | None = None) -> Pictures:
    """A split, or some of its classes, as the data section describes it, without a binarisation at every use."""
    images = load_images(config, split)
    places: Sequence[int] = range(len(images))
    if classes is not None:
        which = where_labelled(images, classes)
        images, places = images.chosen(which), which.tolist()

    def batches(size: int) -> Iterator[Batch]:
        start = 0
        for part in images.batches(size):
            names = [f"{config.name}/{split}/{place}" for place in places[start : start + len(part)]]
            yield Batch(names, part.images, part.labels)
            start += len(part)

    return Pictures(f"{config.name}/{split}", len(images), batches, binarized=config.binarization == "fixed")


def of_folder(folder: Path, shape: ImageShape) -> Pictures:
    """Every picture under a folder: its central part in the model's proportions, resized."""
    paths = pictures_under(folder)

    def batches(size: int) -> Iterator[Batch]:
        unreadable: list[str] = []
        pool = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="decode")
        parts = [paths[start : start + size] for start in range(0, len(paths), size)]
        try:
            for part, pixels in ahead(pool, parts, shape):
                whole = [(path, found) for path, found in zip(part, pixels, strict=True) if not isinstance(found, str)]
                unreadable += [
                    f"{printable(p)}: {why}" for p, why in zip(part, pixels, strict=True) if isinstance(why, str)
                ]
                if whole:
                    images = torch.from_numpy(np.stack([found for _, found in whole]))
                    yield Batch([printable(path) for path, _ in whole], images, None)
        finally:
            pool.shutdown(cancel_futures=True)  # nobody waits for the next batch when this one went wrong
        if len(unreadable) == len(paths):
            raise ZooError(f"none of the {len(paths)} pictures under {folder} can be read ({unreadable[0]})")
        if unreadable:
            rest = f"\n  and {len(unreadable) - 5} more" if len(unreadable) > 5 else ""
            listed = "".join(f"\n  {line}" for line in unreadable[:5])
            warnings.warn(f"skipped {len(unreadable)} of {len(paths)} pictures:{listed}{rest}", stacklevel=2)

    return Pictures(str(folder), len(paths), batches)


Pixels = NDArray[np.uint8] | str
"""Of a picture (C, H, W), or why it cannot be read."""


def ahead(
    pool: ThreadPoolExecutor, parts: Sequence[Sequence[Path]], shape: ImageShape
) -> Iterator[tuple[Sequence[Path], list[Pixels]]]:
    """Each part with its pixels, while the next one is being decoded."""

    def begin(part: Sequence[Path]) -> list[Future[Pixels]]:
        return [pool.submit(decode, path, shape) for path in part]

    begun = begin(parts[0])
    for index, part in enumerate(parts):
        current, begun = begun, begin(parts[index + 1]) if index + 1 < len(parts) else []
        yield part, [future.result() for future in current]


def printable(path: Path) -> str:
    """A file's name as text, also where the system's bytes are no UTF-8."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def decode(path: Path, shape: ImageShape) -> Pixels:
    """One picture in this shape: uint8 (C, H, W)."""
    channels, height, width = shape
    try:
        picture = read_picture(path, shape)
        return np.asarray(picture, dtype=np.uint8).reshape(height, width, channels).transpose(2, 0, 1).copy()
    except Exception as error:  # Pillow raises a dozen kinds for damaged pictures
        return first_line(error)
