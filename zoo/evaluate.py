"""``python -m zoo.evaluate NAME ...``: measure trained models, and compare with what their cards state."""

from __future__ import annotations

import argparse
import json
import subprocess  # nosec B404
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import cli
from zoo.catalog import PACKAGE, WEIGHTS
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.claims import Verdict
    from zoo.data import Split
    from zoo.metric import Case
    from zoo.subject import Subject


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, measure, print; with ``--check`` the exit code is 1 where a figure is not as stated."""
    options = parser().parse_args(arguments)
    cli.import_files(options.imports)
    if options.list:
        return list_metrics(options.json)
    names = [name for several in options.metrics for name in several.split(",")]
    refuse_contradictions(options, names)

    from zoo.subject import Subject
    from zoo.system.devices import choose_device

    device = str(choose_device(options.device))
    reports = []
    for source in cli.expand_models(options.models):
        subject = Subject(source, device)
        with Measuring(subject, options) as measuring:
            if options.check:
                reports.append(measuring.check(claims_only=options.claims))
            elif options.update:
                reports.append(measuring.update(names, options.runs))
            else:
                reports.append(measuring.measure(options.split, names))
        if not options.json:
            show(reports[-1])
    if options.json:
        print(json.dumps(reports[0] if len(reports) == 1 else reports, indent=2))
    if options.update:
        write_pages([Path(file) for report in reports for file in report["written"]])
    statements = [line for report in reports for line in report.get("statements", [])]
    # A claim that cannot be measured is no claim; another figure may need what this machine lacks.
    sys.exit(1 if any(line["kept"] is False or (line["claimed"] and not line["kept"]) for line in statements) else 0)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m zoo.evaluate", description="Measure trained autoencoders.")
    made.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="entries (wildcards allowed), run folders (./runs/x), hf-hub:owner/name",
    )
    made.add_argument("--list", action="store_true", help="every metric: unit, definition, source; and stop")
    made.add_argument(
        "--metrics", action="append", default=[], metavar="NAME,…", help="only these metrics, or families of them"
    )
    made.add_argument(
        "--samples", type=int, default=0, metavar="K", help="measure the NLL too, with K samples per image"
    )
    made.add_argument("--split", choices=("test", "train"), default="test", help="which images (default: test)")
    made.add_argument("--images", type=int, metavar="N", help="only the first N of them")
    made.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: 0)")
    made.add_argument("--check", action="store_true", help="measure what the card states again; exit 1 if it is not so")
    made.add_argument("--claims", action="store_true", help="with --check: only the recipe's claims")
    made.add_argument("--update", action="store_true", help="write what is measured into config.json and card")
    made.add_argument(
        "--runs", nargs="+", type=Path, default=[], metavar="FOLDER",
        help="with --update: runs of the same recipe with other seeds, for the spread on the card",
    )  # fmt: skip
    made.add_argument("--json", action="store_true", help="print JSON instead of a table")
    cli.add_common(made)
    return made


def refuse_contradictions(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Options that do not go together, and numbers out of range.

    Raises:
        ZooError: there are some.
    """
    from zoo.metric import family_of

    if not options.models:
        raise ZooError("name entries or run folders, as in python -m zoo.evaluate conv_vae_mnist")
    if options.check and options.update:
        raise ZooError("--check compares and --update overwrites: choose one")
    if options.update and (options.images or options.seed or options.split != "test"):
        raise ZooError("--update measures whole splits with seed 0: leave --images, --seed and --split away")
    if options.check and (names or options.images or options.samples or options.split != "test"):
        raise ZooError("--check measures what the card states: leave --metrics, --samples, --images and --split away")
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
        family_of(name)
        if name == "nll" and not options.samples:
            raise ZooError("--metrics nll needs a number of samples: --samples 100, or --metrics nll_100")


class Measuring:
    """One model being measured, with a line that shows how far."""

    def __init__(self, subject: Subject, options: argparse.Namespace) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.subject, self.options = subject, options
        # On a terminal only; it goes away at the end, so that the table or the JSON stands alone.
        self.progress = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self.family = ""

    def __enter__(self) -> Measuring:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def told(self, family: str) -> None:
        """What is measured now."""
        self.family = family

    def track(self, items: Any, total: int) -> Any:
        """Show how far a loop is."""
        return self.progress.track(items, total=total, description=f"{self.subject.config.name}: {self.family}")

    def case(self, split: Split) -> Case:
        """The model and its images."""
        from zoo.metric import Case

        images, data = self.subject.images(split).first(self.options.images), self.subject.config.checked_recipe.data
        model, options = self.subject.model, self.options
        reference = None if split == "train" else lambda: self.subject.train
        return Case(model, images, data, reference, options.samples, options.seed, self.track)

    def measure(self, split: Split, names: Sequence[str]) -> dict[str, Any]:
        """The metrics, with all that decides them."""
        from zoo.evaluation import evaluate
        from zoo.provenance import LIBRARIES, MEASURING, versions
        from zoo.system.devices import describe

        begin = time.perf_counter()
        case, config = self.case(split), self.subject.config
        found = evaluate(case, names, self.told)
        return {
            "name": config.name,
            "data": config.checked_recipe.data.name,
            "split": split,
            "images": len(case.images),
            "seed": case.seed,
            "metrics": found.metrics,
            "lacking": found.lacking,
            "card": config.metrics[split],
            "weights_sha256": config.weights_sha256,
            "hardware": describe(self.subject.model.device),
            "versions": versions((*LIBRARIES, *MEASURING)),
            "seconds": round(time.perf_counter() - begin, 1),
        }

    def check(self, *, claims_only: bool) -> dict[str, Any]:
        """Every statement of the card beside a measurement."""
        from zoo.claims import check, check_images, statements

        config = self.subject.config
        made = statements(config, claims_only=claims_only)
        if not made:
            raise ZooError(f"{config.name} states nothing that could be checked")
        for split in {statement.split for statement in made}:
            check_images(config, split, self.subject.images(split))
        return {"name": config.name, "statements": [line(verdict) for verdict in check(self.case, made, self.told)]}

    def update(self, names: Sequence[str], runs: Sequence[Path]) -> dict[str, Any]:
        """Write what is measured into the run folder."""
        from zoo.update import update

        written = update(self.subject, self.case, names, runs, self.told)
        return {"name": self.subject.config.name, "written": [str(path) for path in written]}


def line(verdict: Verdict) -> dict[str, Any]:
    """A statement and what it is worth, for JSON."""
    statement = verdict.statement
    return {
        "claimed": statement.tolerance is not None,
        "split": statement.split,
        "metric": statement.metric,
        "stated": statement.value,
        "allowed": statement.allowed,
        "measured": verdict.found,
        "kept": verdict.kept,
        "reason": verdict.reason,
    }


def show(report: dict[str, Any]) -> None:
    """A report as a table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from zoo.metric import metric_of

    console = Console(width=None if sys.stdout.isatty() else 120)
    for path in report.get("written", []):
        console.print(f"wrote {path}", soft_wrap=True)
    if "statements" in report:
        table = Table("", "split", "metric", title=f"{report['name']}: what its card states, measured again")
        for heading in ("stated", "allowed", "measured"):
            table.add_column(heading, justify="right")
        table.add_column("")
        for row in report["statements"]:
            reason = escape(f"not measured: {row['reason']}")
            verdict = {True: "as stated", False: "[bold red]not as stated[/]", None: reason}
            measured = "-" if row["measured"] is None else f"{row['measured']:.6g}"
            values = (f"{row['stated']:.6g}", f"\N{PLUS-MINUS SIGN} {row['allowed']:.2g}", measured)
            claimed = "claim" if row["claimed"] else "card"
            table.add_row(claimed, row["split"], row["metric"], *values, verdict[row["kept"]])
        console.print(table)
    if "metrics" in report:
        title = f"{report['name']}, {report['images']:,} {report['split']} images of {report['data']}"
        table = Table("metric", "unit", title=title, caption=f"{report['hardware']}, {report['seconds']} s")
        table.add_column("measured", justify="right")
        table.add_column("its card", justify="right")
        for name, value in report["metrics"].items():
            metric, stated = metric_of(name), report["card"].get(name)
            table.add_row(name, metric.unit, metric.show(value), "" if stated is None else metric.show(stated))
        console.print(table)
        for family, reason in report["lacking"].items():
            console.print(f"no {family}: {reason}", highlight=False, markup=False, soft_wrap=True)


def list_metrics(as_json: bool) -> None:
    """Every metric with what it means."""
    from zoo.metric import families

    found = {
        f"{metric.name}_K" if metric.numbered else metric.name: {
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
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for name, facts in found.items():
        unit = f", {facts['unit']}" if facts["unit"] else ""
        print(f"{name} ({facts['family']}{unit})\n    {facts['definition']}\n    {facts['source']}")


def write_pages(written: Sequence[Path]) -> None:
    """In a checkout, the documentation's tables follow the shipped cards."""
    generator = PACKAGE.parent / "docs" / "generate.py"
    if generator.is_file() and any(path.resolve().is_relative_to(WEIGHTS) for path in written):
        # No word of the command is input.
        done = subprocess.run([sys.executable, str(generator)], stdout=sys.stderr)  # nosec B603
        if done.returncode:
            raise ZooError(f"the figures are written, but {generator} could not follow them; see above")


if __name__ == "__main__":
    cli.run(main)
