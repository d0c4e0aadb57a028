"""Anomaly scores: images of another dataset, a black image, and a class that the model was trained without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

import zoo
from zoo.cli._common import CHANGED
from zoo.entries.catalog import list_models
from zoo.inference.file_stream import trained_on
from zoo.inference.image_batches import ImageBatch, ImageStream
from zoo.inference.image_stream import open_images
from zoo.models.autoencoder import Autoencoder
from zoo.tasks.anomaly import detection, score

OTHER = {"mnist": "fashion_mnist", "fashion_mnist": "mnist", "glyphs": "mnist"}

SAMPLES = 10
"""The number of samples, K, of the importance-weighted NLL."""

Row = dict[str, Any]


def other_datasets() -> Iterator[Row]:
    """Each shipped entry: test images of another dataset against its own, and a black image."""
    for name in list_models(weights=True):
        model = zoo.load(name)
        own = trained_on(model).name
        normal, other = scores(model, open_images(own, model)), scores(model, open_images(OTHER[own], model))
        black = scores(model, blank(model))
        for kind, found in normal.items():
            yield {
                "entry": name, "normal": own, "anomalous": OTHER[own], "score": kind,
                **detection(found, other[kind]), "blank": detection(found, black[kind])["auroc"],
            }  # fmt: skip


def held_out_classes(runs: Path) -> Iterator[Row]:
    """Run folders that were trained without a class: how well its test images are told from the others."""
    for run in sorted(path for path in runs.iterdir() if (path / "config.json").is_file()):
        model = zoo.load(run)
        assert model.config is not None
        recipe = model.config.checked_recipe
        left_out = sorted(set(range(10)) - set(recipe.data.only_classes or ()))
        seen, unseen = (f"{recipe.data.name}:{spelled(classes)}" for classes in (recipe.data.only_classes, left_out))
        normal, other = scores(model, open_images(seen, model)), scores(model, open_images(unseen, model))
        entry = model.config.name.removesuffix(CHANGED)
        for kind, found in normal.items():
            yield {
                "entry": entry, "dataset": recipe.data.name, "left_out": left_out, "score": kind,
                "epochs": recipe.training.epochs, "epochs_of_recipe": zoo.recipe(entry).training.epochs,
                **detection(found, other[kind]),
            }  # fmt: skip


def spelled(classes: Iterable[int] | None) -> str:
    """Write classes as a dataset's name takes them: ``3,5``."""
    return ",".join(map(str, classes or ()))


def scores(model: Autoencoder, images: ImageStream) -> dict[str, list[float]]:
    """Score → its value for every image."""
    x = torch.zeros(1, *model.image_shape)
    labels = torch.zeros(1, dtype=torch.int64)
    samples = SAMPLES if model.given(labels if model.classes else None).encode(x).stochastic else 0
    found: dict[str, list[float]] = {}
    for scored in score(model, images, samples):
        for name, part in scored.scores.items():
            found.setdefault(name, []).extend(part.tolist())
    return found


def blank(model: Autoencoder) -> ImageStream:
    """One black image; for a conditional model, of the first class."""

    def batches(size: int) -> Iterator[ImageBatch]:
        yield ImageBatch(
            ["blank"], torch.zeros(1, *model.image_shape, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
        )

    return ImageStream("blank", 1, batches)
