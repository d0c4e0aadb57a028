"""What was found, as tables and as ``experiments.json``, which is what ``docs/benchmarks/experiments`` holds.

``python -m tests.benchmarks.day.tables`` makes them of the lines that the other stages have written.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from tests.benchmarks.day import facts, kernels, seeds, turns
from tests.benchmarks.day.cargo import CARGO
from tests.benchmarks.day.runner import records
from tests.benchmarks.experiments import Experiments, section
from tests.benchmarks.train_speed import versions
from zoo.system.devices import choose_device, describe
from zoo.system.files import write_atomically


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the lines, write the file, print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day.tables")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    found = experiments(options.out, choose_device(options.device))
    write_atomically(options.out / "experiments.json", found.model_dump_json(indent=2) + "\n")
    print("\n".join(section(found)))


def experiments(out: Path, device: torch.device) -> Experiments:
    """Return everything that was found on a device so far."""
    commit = CARGO / "commit_now"
    known = (records(out / facts.FILE) or [{}])[-1]
    return Experiments(
        device=known.get("device") or describe(device),
        date=known.get("date", ""),
        commit=commit.read_text().strip() if commit.exists() else "unknown",
        versions=versions(device),
        variations=tuple(turns.variations(out / turns.FILE)),
        stacked=tuple(seeds.stacked_seeds(out / seeds.FILE)),
        kernels=tuple(kernels.kernel_times(out / kernels.FILE)),
    )


if __name__ == "__main__":
    main()
