"""Measure the tasks: ``python -m tests.benchmarks.tasks [PART ...] [--held-out RUNS]``.

Writes ``docs/tasks.json``, and the tables and the plot of ``docs/tasks.md`` that are made of it. Needs MNIST,
Fashion-MNIST, scikit-learn, scipy and constriction; take the speeds on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.tasks.codecs import compression
from tests.benchmarks.tasks.detection import held_out_classes, other_datasets
from tests.benchmarks.tasks.filling import imputation
from tests.benchmarks.tasks.tables import page, rate_distortion
from tests.benchmarks.tasks.throughput import memory, speed
from zoo.runs.provenance import LIBRARIES, versions
from zoo.system.devices import describe
from zoo.system.files import write_atomically

DOCS = Path(__file__).resolve().parents[3] / "docs"
RECORD, PAGE, PLOT = DOCS / "tasks.json", DOCS / "tasks.md", DOCS / "tasks.png"

PARTS: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "other_datasets": other_datasets, "imputation": imputation, "compression": compression,
    "speed": speed, "memory": memory,
}  # fmt: skip


def main() -> None:
    """Measure, record, write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tasks", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART", help=f"{', '.join(PARTS)}")
    parser.add_argument("--held-out", type=Path, metavar="RUNS", help="also run folders trained without a class")
    parser.add_argument("--render", action="store_true", help="measure nothing; write the tables and the plot again")
    options = parser.parse_args()
    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    parts = [] if options.render or (options.held_out and not options.parts) else options.parts or list(PARTS)
    for name in parts:
        record[name] = measured(PARTS[name]())
    if options.held_out:
        # Those of other runs stay: all of them together take hours to train.
        found = measured(held_out_classes(options.held_out))
        new = {row["entry"] for row in found["rows"]}
        kept = [row for row in record.get("held_out", {"rows": []})["rows"] if row["entry"] not in new]
        record["held_out"] = {**found, "rows": sorted([*kept, *found["rows"]], key=lambda row: row["entry"])}
    write_atomically(RECORD, json.dumps(record, indent=1) + "\n")
    write_atomically(PAGE, page(PAGE.read_text(encoding="utf-8"), record))
    write_atomically(PLOT, rate_distortion(record["compression"]["rows"]))


def measured(rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Rows, and what they were measured with."""
    found = []
    for row in rows:
        print(row, flush=True)
        found.append(row)
    return {
        "rows": found,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": describe(torch.device("cpu")),
        "versions": versions((*LIBRARIES, "constriction", "scikit-learn", "scipy")),
    }


if __name__ == "__main__":
    main()
