"""Every trained entry beside the others, with what its card states, as tables that can be sorted by any figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from zoo.entries.catalog import list_models, recipe_paths, record_folder, weights_folder
from zoo.errors import UnknownNameError
from zoo.metrics import all_metrics, metric_of
from zoo.runs.card import seed_mean_and_sd
from zoo.runs.folder import read_config
from zoo.schema.recipe import Recipe
from zoo.schema.run_config import RunConfig

CARD_FACTS = ("parameters", "training_seconds")
"""The facts of a card, besides its metrics, that entries can be sorted by."""


@dataclass(frozen=True)
class LeaderboardEntry:
    """A trained entry with what its card states."""

    name: str
    recipe: str
    """The name of the recipe's file."""
    data: str
    """The dataset, its binarisation and the family of p(x|z): where these differ, likelihoods cannot be compared."""
    shipped: bool
    config: RunConfig

    def value(self, column: str) -> float | None:
        """Return a test figure of the card, or one of :data:`CARD_FACTS`; None where the card has none."""
        if column in CARD_FACTS:
            return float(getattr(self.config, column))
        return self.config.metrics["test"].get(column)


def leaderboard_entries() -> list[LeaderboardEntry]:
    """List every entry that has been trained, by dataset and name."""
    entries = []
    for name in list_models():
        folder = record_folder(name)
        if folder is not None:
            config = read_config(folder)
            path = recipe_paths()[name].name
            entries.append(
                LeaderboardEntry(
                    name, path, kind_of_data(config.checked_recipe), weights_folder(name) is not None, config
                )
            )
    return sorted(entries, key=lambda entry: entry.data)


def kind_of_data(recipe: Recipe) -> str:
    """Say what decides whether likelihoods can be compared: ``mnist``; ``mnist, dynamic``; ``mnist, gaussian 0.5``."""
    words = [recipe.data.name]
    if recipe.data.binarization != "none":
        words.append(recipe.data.binarization)
    if recipe.model.likelihood.label:
        words.append(recipe.model.likelihood.label)
    if recipe.model.classes:
        words.append("given the class")
    if recipe.data.test_images:
        words.append(f"the first {recipe.data.test_images:,}")
    return ", ".join(words)


def columns(rows: Iterable[LeaderboardEntry], metrics: Iterable[str]) -> list[str]:
    """Return those of the metrics that at least one row has; ``nll`` once for each number of samples."""
    present = {name for row in rows for name in row.config.metrics["test"]}
    shown = []
    for base in metrics:
        shown += sorted(
            (name for name in present if metric_of(name).base == base), key=lambda name: metric_of(name).samples
        )
    return shown


def table(rows: Iterable[LeaderboardEntry]) -> list[dict[str, str | float | None]]:
    """Return every row with every figure, for JSON and CSV."""
    rows = list(rows)
    metrics = columns(rows, all_metrics())
    return [
        {"entry": row.name, "data": row.data, "recipe": row.recipe, "hardware": row.config.hardware}
        | {column: row.value(column) for column in (*CARD_FACTS, *metrics)}
        for row in rows
    ]


def to_csv(rows: Iterable[LeaderboardEntry]) -> str:
    """Write :func:`table` as CSV, for spreadsheets."""
    lines = table(rows)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, lines[0], lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in line.items()})
    return buffer.getvalue()


def best_first(rows: Iterable[LeaderboardEntry], column: str) -> list[LeaderboardEntry]:
    """Sort entries by a column, the best first, or the lowest where neither is better; those without a value last.

    Raises:
        UnknownNameError: there is no such column.
    """
    if column not in CARD_FACTS:
        _known(column)
    highest = column not in CARD_FACTS and metric_of(column).better == "higher"

    def key(row: LeaderboardEntry) -> tuple[bool, float]:
        value = row.value(column)
        return (True, 0.0) if value is None else (False, -value if highest else value)

    return sorted(rows, key=key)


def _known(column: str) -> None:
    try:
        metric_of(column)
    except UnknownNameError as error:
        known = [metric.pattern for metric in all_metrics().values()]
        raise UnknownNameError("column", column, [*known, *CARD_FACTS]) from error


def show(row: LeaderboardEntry, column: str, *, spread: bool = True) -> str:
    """Format a cell: the figure, and with ``spread`` mean and standard deviation over seeds where there are several."""
    value = row.value(column)
    if value is None:
        return ""
    if column in CARD_FACTS:
        return f"{value:,.0f}"
    seeds = seed_mean_and_sd(row.config, column) if spread else ""
    return metric_of(column).show(value) + (f" ({seeds})" if seeds else "")
