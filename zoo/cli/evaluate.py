"""``zoo evaluate NAME ...``: measure trained models, and compare with what their cards state."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.cli._common import MODELS_HELP, add_common, add_data, add_json, expand_models, progress_bars
from zoo.cli._output import print_table, say, say_json
from zoo.entries.catalog import WEIGHTS
from zoo.errors import ZooError
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("models", nargs="*", metavar="MODEL", help=MODELS_HELP)
    parser.add_argument("--list", action="store_true", help="list every metric: unit, definition, source; and stop")
    parser.add_argument(
        "--metrics", action="append", default=[], metavar="NAME,…", help="measure only these metrics or families"
    )
    parser.add_argument(
        "--samples", type=int, default=0, metavar="K", help="measure the NLL too, with K samples per image"
    )
    parser.add_argument(
        "--split", choices=("test", "train"), default="test", help="the images to measure on (default: test)"
    )
    add_data(parser)
    parser.add_argument("--images", type=int, metavar="N", help="measure on the first N of them only")
    parser.add_argument("--seed", type=int, default=0, help="the seed of everything that is drawn (default: 0)")
    parser.add_argument("--check", action="store_true", help="measure what the card states; exit 1 if it is not so")
    parser.add_argument("--claims", action="store_true", help="let --check measure only the recipe's claims")
    parser.add_argument("--update", action="store_true", help="write what is measured into config.json and card")
    parser.add_argument(
        "--runs", nargs="+", type=user_path, default=[], metavar="FOLDER",
        help="runs of the same recipe with other seeds, whose spread --update puts on the card",
    )  # fmt: skip
    add_json(parser, " of a table")
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Measure and print; with ``--check`` the exit code is 1 where a figure is not as stated."""
    if options.list:
        list_metrics(options.json)
        return 0
    names = [name for several in options.metrics for name in several.split(",")]
    refuse_contradictions(options, names)

    from zoo.entries.trained_model import TrainedModel
    from zoo.evaluation.report import ModelReport
    from zoo.system.devices import choose_device

    device = str(choose_device(options.device))
    reports = []
    for source in expand_models(options.models):
        with progress_bars() as bars:
            report = ModelReport(
                TrainedModel(source, device, options.data), options.images, options.samples, options.seed, bars.track
            )
            if options.check:
                reports.append(report.check(claims_only=options.claims))
            elif options.update:
                reports.append(report.update(names, options.runs))
            else:
                reports.append(report.measure(options.split, names))
        if not options.json:
            show(reports[-1], chosen=options.data is not None)
    if options.json:
        say_json(reports[0] if len(reports) == 1 else reports)
    remind_of_pages([Path(file) for report in reports for file in report.get("written", [])])
    statements = [line for report in reports for line in report.get("statements", [])]
    # A claim that cannot be measured is no claim; another figure may need what this machine lacks.
    return int(any(line["kept"] is False or (line["claimed"] and not line["kept"]) for line in statements))


def refuse_contradictions(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Refuse options that do not go together, and numbers out of range.

    Raises:
        ZooError: there are some.
    """
    from zoo.schema.metric import family_of

    if not options.models:
        raise ZooError("name entries or run folders, as in zoo evaluate conv_vae_mnist")
    if options.check and options.update:
        raise ZooError("--check compares and --update overwrites: choose one")
    if options.update and (options.images or options.seed or options.split != "test"):
        raise ZooError("--update measures whole splits with seed 0: drop --images, --seed and --split")
    if options.check and (names or options.images or options.samples or options.split != "test"):
        raise ZooError("--check measures what the card states: drop --metrics, --samples, --images and --split")
    if options.runs and not (options.update and len(options.models) == 1):
        raise ZooError("--runs goes with --update and one entry")
    if options.claims and not options.check:
        raise ZooError("--claims goes with --check")
    for name, value, most in (("samples", options.samples, 10**6 - 1), ("seed", options.seed, 2**32 - 1)):
        if not 0 <= value <= most:
            raise ZooError(f"--{name} {value}: choose between 0 and {most:,}")
    if options.images is not None and options.images < 2:
        raise ZooError(f"--images {options.images}: measure at least two")
    for name in names:
        family = family_of(name)
        if name == family.name and family.numbered and not options.samples:
            raise ZooError(f"--metrics {name} needs a number of samples: --samples 100, or --metrics {name}_100")


def show(report: dict[str, Any], *, chosen: bool = False) -> None:
    """Print a report as a table, and below it if the images are not those of the card, or, if chosen, that they are."""
    from rich.table import Table

    from zoo.entries.trained_model import OTHER_IMAGES, SAME_IMAGES
    from zoo.metrics import metric_of
    from zoo.system.terminal import plain

    for path in report.get("written", []):
        say(f"wrote {path}")
    if "statements" in report:
        heading = plain(f"{report['name']}: what its card states, measured again", "table.title")
        table = Table("", "split", "metric", title=heading)
        for column in ("stated", "allowed", "measured"):
            table.add_column(column, justify="right")
        table.add_column("")
        for row in report["statements"]:
            reason = plain(f"not measured: {row['reason']}")
            verdict = {True: plain("as stated"), False: plain("not as stated", "bold red"), None: reason}
            measured = "-" if row["measured"] is None else f"{row['measured']:.6g}"
            values = (f"{row['stated']:.6g}", f"\N{PLUS-MINUS SIGN} {row['allowed']:.2g}", measured)
            claimed = "claim" if row["claimed"] else "card"
            table.add_row(claimed, row["split"], plain(row["metric"]), *values, verdict[row["kept"]])
        print_table(table)
    if "metrics" in report:
        title = f"{report['name']}, {report['images']:,} {report['split']} images of {report['data']}"
        caption = plain(f"{report['hardware']}, {report['seconds']} s", "table.caption")
        table = Table("metric", "unit", title=plain(title, "table.title"), caption=caption)
        table.add_column("measured", justify="right")
        table.add_column("its card", justify="right")
        for name, value in report["metrics"].items():
            metric, stated = metric_of(name), report["card"].get(name)
            its_card = "" if stated is None else metric.show(stated)
            table.add_row(plain(name), plain(metric.unit), metric.show(value), its_card)
        print_table(table)
        for family, reason in report["lacking"].items():
            say(f"no {family}: {reason}")
    if not report.get("same_images", True):  # a card is checked, and updated, on its images only
        say(f"{OTHER_IMAGES}: the card's figures are not checked")
    elif chosen:
        say(SAME_IMAGES)


def list_metrics(as_json: bool) -> None:
    """Print every metric with what it means."""
    from zoo.schema.metric import families

    metrics = {
        metric.pattern: {
            "family": family.name,
            "unit": metric.unit,
            "definition": metric.definition,
            "source": metric.source,
            "better": metric.better,
            "on_request": family.on_request,
        }
        for family in families().values()
        for metric in family.metrics
    }
    if as_json:
        say_json(metrics)
        return
    for name, facts in metrics.items():
        unit = f", {facts['unit']}" if facts["unit"] else ""
        say(f"{name} ({facts['family']}{unit})")
        say(f"    {facts['definition']}")
        say(f"    {facts['source']}")


def remind_of_pages(written: Sequence[Path]) -> None:
    """In a checkout, say how the documentation's tables follow the shipped cards."""
    if any(path.resolve().is_relative_to(WEIGHTS) for path in written):
        say("the tables of README.md and docs/ show these figures after: python docs/generate.py", sys.stderr)
