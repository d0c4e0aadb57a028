"""Several models side by side: the same test images, each model's reconstructions, samples and figures.

Models of several datasets are compared dataset by dataset, and what does not fit one page goes on on the next.
"""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import torch
from matplotlib.figure import Figure
from rich.table import Table

from zoo.datasets import ImageSet, display_images
from zoo.entries.loading import load
from zoo.entries.trained_model import OTHER_IMAGES, SAME_IMAGES, TrainedModel
from zoo.errors import NotApplicable, ZooError, shortened
from zoo.metrics import measure, summary_metrics
from zoo.models.autoencoder import Autoencoder
from zoo.plotting import ComparisonRow, comparison
from zoo.schema.base import DatasetConfig, format_shape
from zoo.schema.run_config import RunConfig
from zoo.system.terminal import plain

T = TypeVar("T")

MODELS_PER_PAGE = 16
"""The most models in a figure: with more of them, no screen shows a page in a size at which it can be read."""

LABEL_LENGTH, NAME_LENGTH = 26, 64
"""The number of characters that a figure has room for: in a line of a name, and in a whole one, as long as an entry's
can be; a longer one is a path."""

SEED = 0
"""The seed of the prior samples; each model draws from the same stream."""


@dataclass(frozen=True)
class Result:
    """One model's line in the table."""

    source: str
    """The model as it was asked for."""
    data: str
    """The images that the model was compared on: ``mnist test split``, or the reason why there were none."""
    name: str
    variant: str
    parameters: int
    metrics: dict[str, float]
    """The metrics on the test images; the card's where there were no images."""
    measured: bool
    """True if the metrics were measured now."""

    def label(self) -> str:
        """Write name, size and metrics, for the figure."""
        lines = [
            *wrapped(self.name),
            f"{self.parameters:,} parameters",
            f"MSE {self.metrics['mse']:.5f} per pixel",
        ]
        if "negative_elbo" in self.metrics:
            lines.append(f"\N{MINUS SIGN}ELBO {self.metrics['negative_elbo']:.2f} nats")
        return "\n".join(lines)


@dataclass(frozen=True)
class Comparison:
    """Several models side by side, as :func:`compare` returns them."""

    results: list[Result]
    """The models as they were asked for, those of one dataset together."""
    figures: list[Figure]
    """The pages, one after another; none shows models of two datasets, unless one dataset was chosen for all."""
    notes: tuple[str, ...] = ()
    """Lines for people about what the lines of the table differ in."""

    @property
    def figure(self) -> Figure:
        """The first page, which is the only one of a few models of one dataset."""
        return self.figures[0]

    @property
    def data(self) -> str:
        """The images that the models were compared on, dataset by dataset."""
        return "; ".join(dict.fromkeys(result.data for result in self.results))

    def table(self) -> Table:
        """Return the table, for a terminal; the lines of each dataset are a section of it."""
        several = len({result.data for result in self.results}) > 1
        table = Table(title=None if several else plain(self.data, "table.title"))
        table.add_column("model", no_wrap=True)
        table.add_column("variant")
        if several:
            table.add_column("data")
        measured = {name for result in self.results for name in result.metrics}
        metrics = [metric for metric in summary_metrics() if metric.name in measured]
        for heading in ("parameters", *(metric.heading for metric in metrics)):
            table.add_column(heading, justify="right")
        before = self.results[0].data
        for result in self.results:
            if result.data != before:
                table.add_section()
            before = result.data
            words = [result.name, result.variant, *([result.data] if several else [])]
            values = [
                metric.show(result.metrics[metric.name]) if metric.name in result.metrics else "-" for metric in metrics
            ]
            table.add_row(*map(plain, words), f"{result.parameters:,}", *values)
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return the table, for JSON."""
        models = [asdict(result) for result in self.results]
        return {"data": self.data, "models": models, "notes": list(self.notes)}


BINARIZED = {"none": "", "fixed": ", binarised once", "dynamic": ", binarised anew"}
"""The words after the name of a dataset, by its binarisation."""


def compare(
    sources: Sequence[str | os.PathLike[str]], *, data: str | None = None, count: int = 8, device: str = "cpu"
) -> Comparison:
    """Load models, measure them on one test split and draw them, at most ``MODELS_PER_PAGE`` in a figure.

    Args:
        sources: entries and run folders, as :func:`zoo.load` takes them.
        data: a dataset's name, or the path of a folder of images, for all of them; by default the models of each
            dataset are compared with each other, on the one that the first of them was trained on. Models whose images
            were binarised are compared with their like, on images that are binarised so.
        count: the number of test images and of samples in a row.
        device: the device to compute on.

    Raises:
        ZooError: a source cannot be loaded, or models that are to be compared take images of different shapes.
    """
    models = {str(source): load(source, device) for source in sources}
    names = Counter(_config(model).name for model in models.values())
    groups: dict[str, dict[str, Autoencoder]] = {}
    for source, model in models.items():
        groups.setdefault(images_of(_config(model), data), {})[source] = model
    parts = [_compared(group, names, data, count, device) for group in groups.values()]
    notes = [
        f"{note} ({part.data})" if len(parts) > 1 and note != SAME_IMAGES else note
        for part in parts
        for note in part.notes
    ]
    return Comparison(
        [result for part in parts for result in part.results],
        [figure for part in parts for figure in part.figures],
        tuple(dict.fromkeys(notes)),
    )


def images_of(config: RunConfig, data: str | None) -> str:
    """Return what is equal for models that are measured on the same images: those of one dataset, whichever part of it
    they were trained on, binarised in one way.

    Args:
        config: the facts of a model.
        data: the images that were asked for; None: those that it was trained on.
    """
    section = config.recipe["data"]
    return f"{data or (section['name'], section.get('path'))} {section.get('binarization', 'none')}"


def _compared(
    models: dict[str, Autoencoder], names: Counter[str], data: str | None, count: int, device: str
) -> Comparison:
    """Compare models on the same images; ``names`` counts the models of each name."""
    if len({model.image_shape for model in models.values()}) > 1:
        listed = ", ".join(f"{source}: {format_shape(model.image_shape)}" for source, model in models.items())
        raise ZooError(f"the models take images of different shapes and cannot share a figure ({listed})")

    trained = TrainedModel(next(iter(models)), device, data)
    config = trained.config.checked_recipe.data
    images: ImageSet | None = None
    try:
        images = trained.test
        config = trained.dataset
        data_note = f"{config.name} test split{BINARIZED[config.binarization]}"
    except NotApplicable as error:
        warnings.warn(str(error), stacklevel=3)
        data_note = (
            f"no reconstructions, because the dataset {config.name!r} is not here; the figures are those of each card"
        )

    first = images and images.first(count)
    originals = None if first is None else display_images(first.images, config)
    results, rows = [], []
    for source, model in models.items():
        result = table_row(source, model, images, config, data_note)
        if names[result.name] > 1:  # two runs of one recipe: their paths tell them apart
            result = replace(result, name=source)
        reconstructions = None
        if first is not None and originals is not None:
            reconstructions = model.given(first.labels).reconstruct(originals).cpu()
        samples = model.sample(count, torch.Generator().manual_seed(SEED)).cpu()
        rows.append(ComparisonRow(result.label(), reconstructions, samples))
        results.append(result)
    note = data_note if images is None else f"figures over all {len(images):,} images of the {data_note}"
    pages = portions(rows, MODELS_PER_PAGE)
    figures = [
        comparison(originals, page, f"{note}, page {number} of {len(pages)}" if len(pages) > 1 else note)
        for number, page in enumerate(pages, 1)
    ]
    configs = {result.name: _config(model) for result, model in zip(results, models.values(), strict=True)}
    return Comparison(results, figures, differences(configs, images, chosen=data is not None))


def portions(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """Cut items into as few parts of at most ``most`` as there can be, of about the same number each."""
    parts = -(-len(items) // most)
    ends = [len(items) * part // parts for part in range(parts + 1)]
    return [items[begin:end] for begin, end in zip(ends, ends[1:], strict=False)]


def wrapped(name: str) -> list[str]:
    """Return a name in lines that a figure has room for, broken behind an underscore or a slash where it has any."""
    lines = [""]
    for piece in re.findall(rf"[^_/]{{1,{LABEL_LENGTH - 1}}}[_/]?|[_/]", shortened(name, NAME_LENGTH)):
        if len(lines[-1] + piece) > LABEL_LENGTH:
            lines.append("")
        lines[-1] += piece
    return lines


def differences(configs: dict[str, RunConfig], images: ImageSet | None, *, chosen: bool) -> tuple[str, ...]:
    """Say in what models differ, besides themselves, that decides their figures.

    Args:
        configs: the facts of the models by their names in the table.
        images: the test images; None: the figures are those of the cards.
        chosen: whether somebody has chosen these images, and should know if they are those of the cards.
    """
    notes = []
    if images is not None:
        others = [name for name, config in configs.items() if config.dataset["test"].sha256 != images.digest]
        if others:
            notes.append(f"{OTHER_IMAGES}, for {', '.join(others)}")
        elif chosen:
            notes.append(SAME_IMAGES)
    counts = {name: f"{config.dataset['test'].images:,}" for name, config in configs.items()}
    if len(set(counts.values())) > 1:
        here = "" if images is None else f"{len(images):,} here, "
        notes.append(f"test images: {here}on the cards {_listed(counts)}")
    likelihoods = {
        name: config.checked_recipe.model.likelihood.label or config.checked_recipe.model.likelihood.family
        for name, config in configs.items()
        if "negative_elbo" in config.metrics["test"]
    }
    if len(set(likelihoods.values())) > 1:
        notes.append(f"\N{MINUS SIGN}ELBO under different likelihoods is not comparable: {_listed(likelihoods)}")
    return tuple(notes)


def _listed(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def table_row(source: str, model: Autoencoder, images: ImageSet | None, data: DatasetConfig, note: str) -> Result:
    """Return a model's line: measured on the images, which the note names, or as its card states where there are
    none."""
    config = _config(model)
    metrics = config.metrics["test"] if images is None else measure(model, images, data)
    variant = config.recipe["model"]["variant"]
    return Result(source, note, config.name, variant, config.parameters, metrics, images is not None)


def _config(model: Autoencoder) -> RunConfig:
    assert model.config is not None  # load() gives every model its config
    return model.config
