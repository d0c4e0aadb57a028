"""The seconds from the command to the run folder that are no training: imports, start, measuring, drawing, writing.

    python -m tests.benchmarks.whole_run --against ../another-checkout

trains one epoch of a recipe as often as it is told to, in turns with another checkout if one is named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

HERE = Path(__file__).parents[2]


def seconds(checkout: Path, name: str) -> tuple[float, float]:
    """Train one epoch with a checkout; return the seconds of the command and those of them that are training."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / name
        command = [sys.executable, "-m", "zoo", "train", name, "--set", "training.epochs=1", "--out", str(out)]
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        started = time.perf_counter()
        subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
        whole = time.perf_counter() - started
        return whole, json.loads((out / "config.json").read_text())["training_seconds"]


def main() -> None:
    """Print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="linear_vae_mnist", help="the recipe (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each checkout (default: %(default)s)")
    parser.add_argument("--against", type=Path, help="another checkout of the zoo")
    options = parser.parse_args()
    checkouts = [HERE, *([options.against.resolve()] if options.against else [])]
    measured: dict[Path, list[tuple[float, float]]] = {checkout: [] for checkout in checkouts}
    for _ in range(options.runs):
        for checkout, runs in measured.items():
            runs.append(seconds(checkout, options.name))
    print("| checkout | whole, s | training, s | the rest, s |\n|---|--:|--:|--:|")
    for checkout, runs in measured.items():
        rest = median(whole - training for whole, training in runs)
        whole, training = (median(values) for values in zip(*runs, strict=True))
        label = "this one" if checkout == HERE else "the other one"
        print(f"| {label} | {whole:.1f} | {training:.1f} | {rest:.1f} |")


if __name__ == "__main__":
    main()
