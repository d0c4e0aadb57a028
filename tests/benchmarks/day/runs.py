"""The short recipes that were never trained, all on one device: ``python -m tests.benchmarks.day.runs``.

A few processes train them side by side, each several at once, those of the fewest steps first. An interrupt reaches all
of them: every run writes a checkpoint, and goes on from there in the next call, or on the next day if the folder is
carried along.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from tests.benchmarks.day.cargo import FOLDERS
from tests.benchmarks.day.runner import python
from zoo.cli._common import find_recipe
from zoo.datasets import data_folder
from zoo.entries.catalog import list_models, record_folder

IMAGES = 60_000
"""The images of an epoch of every dataset that travels."""

MOST_STEPS = 200_000
"""The most steps of a run that is begun: more do not fit into a quarter of an hour beside the others."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Choose the recipes and train them."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day.runs")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    words = f"what to train (default: what was never trained, up to {MOST_STEPS:,} steps, and what was begun)"
    parser.add_argument("--entries", nargs="*", help=words)
    parser.add_argument("--processes", type=int, default=3, help="the processes that share the device (default: 3)")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args(arguments)
    begun = {path.name.removesuffix(".partial") for path in (options.out / "runs").glob("*.partial")}
    names = options.entries or never_trained(begun)
    if not names:
        print("nothing is left to train")
        return
    sets = [word for override in options.overrides for word in ("--set", override)]
    parts = [names[first :: options.processes] for first in range(options.processes)]
    commands = [
        python("-m", "zoo", "train", *part, "--resume", "--device", options.device, "--out",
               options.out / "runs" / (part[0] if len(part) == 1 else ""), *sets)
        for part in parts if part
    ]  # fmt: skip
    for command in commands:
        print(*command, flush=True)
    sys.exit(max(together(commands)))


def together(commands: Sequence[Sequence[str]]) -> list[int]:
    """Run commands side by side, wait for all of them even after an interrupt, and return their exit codes."""
    running = [subprocess.Popen(command) for command in commands]
    codes = []
    for process in running:
        while process.poll() is None:
            try:
                process.wait()
            except KeyboardInterrupt:  # they have got it, too
                continue
        codes.append(abs(process.returncode))
    return codes


def never_trained(begun: Collection[str] = ()) -> list[str]:
    """Return the entries that have no record and whose images are here, those of the fewest steps first.

    Args:
        begun: the names of unfinished runs, which go on however long they are; others are short.
    """
    here = {name for name, folder in FOLDERS.items() if (data_folder() / folder).is_dir()}
    steps: dict[str, int] = {}
    for name in list_models():
        recipe = find_recipe(name, [])
        if recipe.data.name in here and not record_folder(name):
            images = recipe.data.train_images or IMAGES
            steps[name] = recipe.training.epochs * images // recipe.training.batch_size
    return sorted((name for name in steps if name in begun or steps[name] <= MOST_STEPS), key=steps.__getitem__)


if __name__ == "__main__":
    main()
