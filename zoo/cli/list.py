"""``zoo list``: the trained entries as their cards have them, sorted by any figure."""

from __future__ import annotations

import argparse

from zoo.cli._output import print_table, say, say_json, write
from zoo.entries.catalog import TASKS, list_models
from zoo.errors import ZooError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--sort",
        default="negative_elbo",
        metavar="METRIC",
        help="the column to sort by, the best first (default: negative_elbo)",
    )
    parser.add_argument("--variant", metavar="NAME", help="list only entries of this variant")
    parser.add_argument("--data", metavar="NAME", help="list only entries of this dataset")
    tasks = "; ".join(f"{name}: {meaning}" for name, (meaning, _) in TASKS.items())
    parser.add_argument("--task", metavar="NAME", help=f"list only entries made for this task ({tasks})")
    parser.add_argument(
        "--metrics", metavar="NAME,…", help="show these columns (default: the main ones; all: every one)"
    )
    parser.add_argument("--csv", action="store_true", help="print every column as CSV")
    parser.add_argument("--json", action="store_true", help="print every column as JSON")


def run(options: argparse.Namespace) -> None:
    """Sort and print."""
    from rich.table import Table

    from zoo.evaluation.leaderboard import (
        CARD_FACTS,
        best_first,
        columns,
        leaderboard_entries,
        show,
        table,
        to_csv,
    )
    from zoo.metrics import all_metrics, metric_of, summary_metrics
    from zoo.system.terminal import plain

    names_asked = list_models(variant=options.variant, data=options.data, task=options.task)
    rows = [row for row in leaderboard_entries() if row.name in names_asked]
    if not rows:
        asked_for = [f"{name} {vars(options)[name]}" for name in ("variant", "data", "task") if vars(options)[name]]
        raise ZooError(f"no trained entry has the {' and the '.join(asked_for)}; drop one of the options")
    rows = best_first(rows, options.sort)
    if options.metrics and (options.csv or options.json):
        raise ZooError("--csv and --json have every column: drop --metrics")
    if options.json:
        say_json(table(rows))
        return
    if options.csv:
        write(to_csv(rows))
        return
    there = columns(rows, all_metrics())
    chosen = [name for name in (options.metrics or "").split(",") if name]
    asked = chosen or [metric.name for metric in summary_metrics()]
    asked = there if asked == ["all"] else asked
    names = [options.sort, *(name if name in CARD_FACTS else metric_of(name).name for name in asked)]
    shown = list(dict.fromkeys(names))
    printed = Table(title="test figures, as the cards have them")
    printed.add_column("entry", no_wrap=True)
    printed.add_column("data")
    for column in shown:
        printed.add_column(column if column in CARD_FACTS else metric_of(column).heading, justify="right")
    for row in rows:
        printed.add_row(plain(row.name), plain(row.data), *(show(row, column, spread=False) for column in shown))
    print_table(printed, width=400)
    if len({row.data for row in rows}) > 1:
        say("Figures can be compared between rows that have the same words under data.")
