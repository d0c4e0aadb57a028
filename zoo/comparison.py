"""Several models side by side: the same test images, each model's reconstructions, samples and figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from zoo.artifacts import load
from zoo.autoencoder import Autoencoder
from zoo.data import as_float, load_images
from zoo.devices import isolated_randomness
from zoo.errors import ZooError
from zoo.evaluation import measure
from zoo.figures import Row, comparison
from zoo.registry import DATASETS
from zoo.sections import DatasetConfig, ImageShape

SEED = 0
"""Of the prior samples; each model draws from the same stream."""


@dataclass(frozen=True)
class Result:
    """One model's line in the table."""

    name: str
    variant: str
    parameters: int
    metrics: dict[str, float]
    """On the test images; from the card where there were none."""
    measured: bool
    """Whether the metrics were measured now."""

    def label(self) -> str:
        """Name, size and figures, for the picture."""
        figures = [f"{self.parameters:,} parameters", f"MSE {self.metrics['mse']:.5f} per pixel"]
        if "negative_elbo" in self.metrics:
            figures.append(f"\N{MINUS SIGN}ELBO {self.metrics['negative_elbo']:.2f} nats")
        return "\n".join([self.name, *figures])


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found."""

    results: list[Result]
    data: str
    """The dataset, or why there were no images."""
    figure: Figure

    def to_dict(self) -> dict[str, Any]:
        """The table, for JSON."""
        return {"data": self.data, "models": [asdict(result) for result in self.results]}


def compare(
    sources: Sequence[str | os.PathLike[str]], *, data: str | None = None, count: int = 8, device: str = "cpu"
) -> Comparison:
    """Load models, measure them on one test split, draw them in one figure.

    Args:
        sources: entries and run folders, as :func:`zoo.load` takes them.
        data: a dataset's name, or the path of a folder of pictures; by default what the first model was trained on.
        count: test images and samples in a row.
        device: where to compute.

    Raises:
        ZooError: a source cannot be loaded, or the models' images differ in shape.
    """
    models = {str(source): load(source, device) for source in sources}
    shapes = {name: model.image_shape for name, model in models.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name}: {'x'.join(map(str, shape))}" for name, shape in shapes.items())
        raise ZooError(f"the models take images of different shapes and cannot share a picture ({listed})")

    config = choose_data(data, next(iter(models.values())))
    images: Tensor | None = None
    said = f"{config.name} test split"
    try:
        images = load_images(config, "test").images
    except ZooError as error:
        if data:
            raise
        said = f"no reconstructions: {str(error).splitlines()[0]}"

    originals = None if images is None else pictured(images[:count], config)
    results, rows = [], []
    for model in models.values():
        result = line(model, images, config)
        reconstructions = None if originals is None else model.reconstruct(originals).cpu()
        samples = model.sample(count, torch.Generator().manual_seed(SEED)).cpu()
        rows.append(Row(result.label(), reconstructions, samples))
        results.append(result)
    note = said if images is None else f"figures over all {len(images):,} images of the {said}"
    return Comparison(results, said, comparison(originals, rows, note))


def line(model: Autoencoder, images: Tensor | None, config: DatasetConfig) -> Result:
    """A model's line: measured on the images, or else as its card states."""
    card = model.card
    assert card is not None  # load() gives every model its card
    metrics = card.metrics["test"] if images is None else measure(model, images, config)
    return Result(card.name, card.checked_recipe.model.variant, card.parameters, metrics, images is not None)


def choose_data(data: str | None, model: Autoencoder) -> DatasetConfig:
    """The settings of the dataset to compare on.

    Raises:
        ZooError: no such dataset, or its images have another shape.
    """
    assert model.card is not None
    if data is None:
        return model.card.checked_recipe.data
    config: DatasetConfig
    if Path(data).is_dir():
        channels, size, _ = model.image_shape
        config = DATASETS.get("image_folder").config(path=data, size=size, channels=channels)
    else:
        config = DATASETS.get(data).config()
    if config.image_shape != model.image_shape:
        raise ZooError(
            f"--data {data}: its images are {shape(config.image_shape)}, the models take {shape(model.image_shape)}"
        )
    return config


def pictured(images: Tensor, config: DatasetConfig) -> Tensor:
    """uint8 → float, binarised with a fixed seed where the dataset's settings say so."""
    with isolated_randomness(SEED, images.device):
        return as_float(images, config)


def shape(image_shape: ImageShape) -> str:
    """(1, 28, 28) → 1x28x28."""
    return "x".join(map(str, image_shape))
