"""The seconds that measuring commands take: ``python -m tests.benchmarks.measuring [--against ../another-checkout]``.

Prints a table of medians: time on the clock and time of the system, in turns with another checkout if there is one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

HERE = Path(__file__).parents[2]

COMMANDS = (
    "evaluate conv_vae_mnist --check",
    "compare conv_vae_mnist",
    "anomaly conv_vae_mnist mnist --samples 10",
    "impute conv_vae_mnist mnist --drop 0.5",
)
"""Commands that measure, or go through many images."""


def seconds(checkout: Path, command: str) -> tuple[float, float]:
    """Run a command of a checkout; return its seconds and the system's."""
    with TemporaryDirectory() as folder:
        before = os.times().children_system
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "zoo", *command.split()], cwd=folder, check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(checkout)},
        )  # fmt: skip
        return time.perf_counter() - started, os.times().children_system - before


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1, help="runs of each command (default: %(default)s)")
    parser.add_argument("--only", default="", help="only the commands that begin with this")
    parser.add_argument("--against", type=Path, help="another checkout of the zoo")
    options = parser.parse_args()
    checkouts = {"this one": HERE} | ({"the other one": options.against.resolve()} if options.against else {})
    print("| command | checkout | s | of the system, s |\n|---|---|--:|--:|")
    for command in (line for line in COMMANDS if line.startswith(options.only)):
        times: dict[str, list[tuple[float, float]]] = {label: [] for label in checkouts}
        for _ in range(options.runs):
            for label, checkout in checkouts.items():
                times[label].append(seconds(checkout, command))
        for label, runs in times.items():
            whole, system = (median(values) for values in zip(*runs, strict=True))
            print(f"| `zoo {command}` | {label} | {whole:.1f} | {system:.1f} |", flush=True)


if __name__ == "__main__":
    main()
