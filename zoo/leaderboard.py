"""Every trained entry beside the others: what its card states, as tables that can be sorted by any figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from zoo.artifacts import read_config
from zoo.catalog import list_models, recipe_paths, record_folder, weights_folder
from zoo.errors import UnknownNameError
from zoo.metric import all_metrics, metric_of
from zoo.schema.run_config import RunConfig
from zoo.spread import over_seeds

TOPICS = {
    "Likelihood": (
        "negative_elbo", "nll", "reconstruction", "kl", "mutual_information", "aggregate_kl", "active_units",
    ),
    "Reconstruction": ("mse", "psnr", "ssim", "perplexity"),
    "Samples": ("frechet_distance", "precision", "recall", "fid"),
    "Codes": ("probe_accuracy", "knn_accuracy"),
    "Disentanglement": (
        "mig", "dci_disentanglement", "dci_completeness", "dci_informativeness", "sap", "factor_vae_score",
    ),
    "Speed": ("encode_throughput", "decode_throughput", "encode_latency", "decode_latency"),
}  # fmt: skip
"""Title of a table → its metrics; it is sorted by the first."""

FACTS = ("parameters", "training_seconds")
"""What else entries can be sorted by."""


@dataclass(frozen=True)
class Standing:
    """A trained entry as its card has it."""

    name: str
    recipe: str
    """Its file."""
    data: str
    """The dataset, how it is binarised, and what p(x|z) is: where these differ, likelihoods cannot be compared."""
    shipped: bool
    config: RunConfig

    def value(self, column: str) -> float | None:
        """A test figure of the card, or one of :data:`FACTS`; None: the card has none."""
        if column in FACTS:
            return float(getattr(self.config, column))
        return self.config.metrics["test"].get(column)


def standings() -> list[Standing]:
    """Every entry that has been trained, by dataset and name."""
    found = []
    for name in list_models():
        folder = record_folder(name)
        if folder is not None:
            config = read_config(folder)
            path = recipe_paths()[name].name
            found.append(Standing(name, path, kind_of_data(config), weights_folder(name) is not None, config))
    return sorted(found, key=lambda standing: standing.data)


def kind_of_data(config: RunConfig) -> str:
    """``mnist``; ``mnist, dynamic``; ``fashion_mnist, gaussian 0.5``."""
    recipe = config.checked_recipe
    words = [recipe.data.name]
    if recipe.data.binarization != "none":
        words.append(recipe.data.binarization)
    likelihood = recipe.model.likelihood
    if likelihood.family == "gaussian":
        words.append(f"gaussian {likelihood.variance:g}")
    if hasattr(recipe.model, "classes"):
        words.append("given the class")
    if recipe.data.test_images:
        words.append(f"the first {recipe.data.test_images:,}")
    return ", ".join(words)


def columns(rows: Iterable[Standing], metrics: Iterable[str]) -> list[str]:
    """Those of the metrics that some row has; ``nll`` once for each number of samples."""
    there = {name for row in rows for name in row.config.metrics["test"]}
    found = []
    for base in metrics:
        named = sorted(
            (name for name in there if metric_of(name).base == base), key=lambda name: metric_of(name).samples
        )
        found += named
    return found


def table(rows: Iterable[Standing]) -> list[dict[str, str | float | None]]:
    """Every row with every figure, for JSON and CSV."""
    rows = list(rows)
    there = columns(rows, all_metrics())
    return [
        {"entry": row.name, "data": row.data, "recipe": row.recipe, "hardware": row.config.hardware}
        | {column: row.value(column) for column in (*FACTS, *there)}
        for row in rows
    ]


def to_csv(rows: Iterable[Standing]) -> str:
    """:func:`table`, for spreadsheets."""
    lines = table(rows)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, lines[0], lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in line.items()})
    return buffer.getvalue()


def best_first(rows: Iterable[Standing], column: str) -> list[Standing]:
    """The best first, as far as the metric has a better; those without it last.

    Raises:
        UnknownNameError: no such column.
    """
    if column not in FACTS:
        _known(column)
    highest = column not in FACTS and metric_of(column).better == "higher"

    def key(row: Standing) -> tuple[bool, float]:
        value = row.value(column)
        return (True, 0.0) if value is None else (False, -value if highest else value)

    return sorted(rows, key=key)


def _known(column: str) -> None:
    try:
        metric_of(column)
    except UnknownNameError as error:
        known = [f"{name}_K" if metric.numbered else name for name, metric in all_metrics().items()]
        raise UnknownNameError("column", column, [*known, *FACTS]) from error


def show(row: Standing, column: str) -> str:
    """A cell: the figure, with the mean and spread over seeds where there are several."""
    value = row.value(column)
    if value is None:
        return ""
    if column in FACTS:
        return f"{value:,.0f}"
    spread = over_seeds(row.config, column)
    return metric_of(column).show(value) + (f" ({spread})" if spread else "")
