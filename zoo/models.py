"""``python -m zoo.models``: the trained entries as their cards have them, sorted by any figure."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from zoo import cli
from zoo.errors import ZooError


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, sort, print."""
    parser = argparse.ArgumentParser(prog="python -m zoo.models", description="The trained entries and their figures.")
    parser.add_argument("--sort", default="negative_elbo", metavar="METRIC", help="by this, the best first")
    parser.add_argument("--data", metavar="NAME", help="only entries of this dataset")
    parser.add_argument("--metrics", metavar="NAME,…", help="only these columns (default: all that are not speeds)")
    parser.add_argument("--csv", action="store_true", help="every column as CSV")
    parser.add_argument("--json", action="store_true", help="every column as JSON")
    options = parser.parse_args(arguments)

    from zoo.leaderboard import FACTS, best_first, columns, show, standings, table, to_csv
    from zoo.metric import all_metrics, metric_of

    rows = [row for row in standings() if options.data in (None, row.config.recipe["data"]["name"])]
    if not rows:
        datasets = sorted({row.config.recipe["data"]["name"] for row in standings()})
        raise ZooError(f"no trained entry is of the dataset {options.data!r}; there are {', '.join(datasets)}")
    rows = best_first(rows, options.sort)
    if options.metrics and (options.csv or options.json):
        raise ZooError("--csv and --json have every column: leave --metrics away")
    if options.json:
        return print(json.dumps(table(rows), indent=2))
    if options.csv:
        return print(to_csv(rows), end="")
    there = columns(rows, all_metrics())

    from rich.console import Console
    from rich.table import Table

    asked = options.metrics.split(",") if options.metrics else [name for name in there if metric_of(name).repeatable]
    shown = list(dict.fromkeys([options.sort, *(name if name in FACTS else metric_of(name).name for name in asked)]))
    printed = Table("entry", "data", title="test figures, as the cards have them")
    for column in shown:
        printed.add_column(column if column in FACTS else metric_of(column).heading, justify="right")
    for row in rows:
        printed.add_row(row.name, row.data, *(show(row, column) for column in shown))
    Console(width=None if sys.stdout.isatty() else 400).print(printed)


if __name__ == "__main__":
    cli.run(main)
