"""Several seeds of a recipe at once: ``python -m tests.benchmarks.day.seeds``; ``seeds.jsonl`` has a line an epoch.

``zoo train --seeds`` trains them, as one model with stacked parameters where this zoo can do that. An epoch is over
when the last of the seeds has written its line of ``metrics.jsonl``: its time holds the measuring of the test images as
well. The runs are ended as soon as enough is known.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.day.runner import append, python, records
from tests.benchmarks.experiments import StackedSeeds
from zoo.schema.sections import Execution

FILE = "seeds.jsonl"
EPOCHS = 1000
"""The epochs of the runs: more than are timed."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the runs, watch some epochs, and end them."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day.seeds")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--entry", default="linear_vae_mnist")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=5, help="the epochs that are timed, after one that is not")
    parser.add_argument("--stack", default="on", help="execution.stack, where this zoo has it")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args(arguments)
    stack = options.stack if "stack" in Execution.model_fields else None
    settings = [f"training.epochs={EPOCHS}", *options.overrides, *([f"execution.stack={stack}"] if stack else [])]
    sets = [word for setting in settings for word in ("--set", setting)]
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = python("-m", "zoo", "train", options.entry, "--seeds", f"0-{options.count - 1}", "--at-once",
                         options.count, "--device", options.device, "--out", folder, *sets)  # fmt: skip
        started = time.monotonic()
        process = subprocess.Popen(command)
        ends: list[float] = []
        try:
            for end in ends_of_epochs(process, Path(folder), options.count):
                ends.append(end)
                if len(ends) > 1:
                    append(options.out / FILE, {
                        "entry": options.entry, "seeds": options.count, "stack": stack, "epoch": len(ends),
                        "epoch_ms_per_seed": 1000 * (ends[-1] - ends[-2]) / options.count,
                        "first_epoch_seconds": round(ends[0] - started, 1),
                    })  # fmt: skip
                if len(ends) > options.epochs:
                    break
        finally:
            process.kill()
            process.wait()
    each = 1000 * median(b - a for a, b in pairwise(ends)) / options.count
    print(f"{options.entry}, {options.count} seeds, stack {stack}: {each:.2f} ms an epoch and seed, its end included; "
          f"{ends[0] - started:.1f} s from the command to the end of the first epoch")  # fmt: skip


def stacked_seeds(file: Path) -> list[StackedSeeds]:
    """Return the medians of the epochs, for the tables."""
    found: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for record in records(file):
        changes = "as one model" if record["stack"] == "on" else "in turns"
        found.setdefault((record["entry"], record["seeds"], changes), []).append(record)
    return [
        StackedSeeds(entry=entry, seeds=seeds, changes=changes,
                     epoch_ms_per_seed=median(record["epoch_ms_per_seed"] for record in epochs),
                     first_epoch_seconds=epochs[-1]["first_epoch_seconds"])
        for (entry, seeds, changes), epochs in found.items()
    ]  # fmt: skip


def ends_of_epochs(process: subprocess.Popen[bytes], folder: Path, count: int) -> Iterator[float]:
    """Yield the time of each epoch's end, which is when the last of ``count`` runs has written its line.

    Raises:
        SystemExit: the process has ended before.
    """
    epochs = 0
    while True:
        logs = list(folder.glob("*/metrics.jsonl"))
        if len(logs) == count and min(path.read_bytes().count(b"\n") for path in logs) > epochs:
            epochs += 1
            yield time.monotonic()
        elif process.poll() is not None:
            raise SystemExit(f"zoo train has ended after {epochs} epochs, with exit code {process.returncode}")
        time.sleep(0.005)


if __name__ == "__main__":
    main()
