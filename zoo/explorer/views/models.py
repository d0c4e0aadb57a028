"""The trained entries of the zoo and the open models, with the test figures of their cards."""

from __future__ import annotations

from functools import cache
from typing import Any

from zoo.evaluation.leaderboard import (
    CARD_FACTS,
    LeaderboardEntry,
    columns,
    kind_of_data,
    leaderboard_entries,
    show,
)
from zoo.explorer._view import Answer, Parameters, register_view
from zoo.explorer.session import Session
from zoo.metrics import all_metrics, metric_of, summary_metrics

HEADINGS = {"parameters": "parameters", "training_seconds": "training, s"}
"""The headings of the facts of a card that are no metrics."""


class ModelsParameters(Parameters):
    """The table has no parameters: the page sorts it and chooses from it."""


@register_view("models", ModelsParameters, unfinished=True)
def models(session: Session, parameters: ModelsParameters) -> Answer:
    """Return a row for each entry and each open model, with every figure, and what the columns are."""
    entries = {row.name: row for row in entries_of_zoo()}
    opened: dict[str, LeaderboardEntry] = {}
    for name, model in session.models.items():
        if not model.unfinished:
            config = model.trained.config
            same = name in entries and entries[name].config.weights_sha256 == config.weights_sha256
            data = entries[name].data if same else kind_of_data(config.checked_recipe)
            opened[name] = LeaderboardEntry(name, "", data, False, config)
    rows = [*opened.values(), *(row for name, row in entries.items() if name not in opened)]
    shown = [*CARD_FACTS, *columns(rows, all_metrics())]
    return {
        "columns": [column(name) for name in shown],
        "rows": [row_of(row, shown, is_open=row.name in opened) for row in rows],
    }


@cache
def entries_of_zoo() -> list[LeaderboardEntry]:
    """Return the zoo's own trained entries, which do not change while the explorer runs."""
    return leaderboard_entries()


def column(name: str) -> dict[str, Any]:
    """Return what a column is called, which values in it are better, and what it means."""
    if name in CARD_FACTS:
        return {"name": name, "heading": HEADINGS[name], "better": None, "means": "", "main": name == "parameters"}
    metric = metric_of(name)
    main = metric.base in {summary.base for summary in summary_metrics()}
    return {
        "name": name,
        "heading": metric.heading,
        "better": metric.better,
        "means": f"{metric.definition} ({metric.unit})",
        "main": main,
    }


def row_of(row: LeaderboardEntry, shown: list[str], *, is_open: bool) -> dict[str, Any]:
    """Return a row: each figure as a number to sort by and as text."""
    present = [name for name in shown if row.value(name) is not None]
    return {
        "name": row.name,
        "variant": row.config.recipe["model"]["variant"],
        "data": row.config.recipe["data"]["name"],
        "kind": row.data,
        "open": is_open,
        "loadable": row.shipped,
        "values": {name: row.value(name) for name in present},
        "texts": {name: show(row, name, spread=False) for name in present},
    }
