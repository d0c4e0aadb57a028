"""Several seeds of a recipe at once: ``python -m tests.benchmarks.day.seeds``; ``seeds.jsonl`` has a line an epoch."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.contestants import ours
from tests.benchmarks.day.runner import append
from tests.benchmarks.race import Runner
from zoo.cli._common import find_recipe
from zoo.datasets import load_images
from zoo.system.devices import choose_device

FILE = "seeds.jsonl"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepare them all, train an epoch that is not timed, then some that are."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day.seeds")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--entry", default="linear_vae_mnist")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args(arguments)
    recipe = find_recipe(options.entry, options.overrides)
    train, test = load_images(recipe.data, "train"), load_images(recipe.data, "test")
    started = time.perf_counter()
    runner = Runner(ours(recipe, models=options.count), train, test, choose_device(options.device))
    prepared = round(time.perf_counter() - started, 1)
    steps = len(train) / recipe.training.batch_size
    for epoch in range(options.epochs):
        runner.take_turn()
        seconds = runner.seconds[-1]
        append(options.out / FILE, {
            "entry": options.entry, "seeds": options.count, "epoch": epoch + 1, "how": runner.contestant.how,
            "epoch_ms_per_seed": 1000 * seconds / options.count, "step_us": 1e6 * seconds / steps,
            "prepare_seconds": prepared, "peak_bytes": runner.memory.peak,
        })  # fmt: skip
    each = 1000 * median(runner.seconds) / options.count
    print(f"{options.entry}, {options.count} seeds: {each:.2f} ms an epoch and seed, {prepared} s to prepare with an "
          f"epoch, {runner.contestant.how}")  # fmt: skip


if __name__ == "__main__":
    main()
