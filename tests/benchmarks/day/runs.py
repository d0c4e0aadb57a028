"""The recipes without weights, all on one device: ``python -m tests.benchmarks.day.runs``.

It becomes ``zoo train``, so that an interrupt reaches that and nothing else: every run writes a checkpoint, and goes on
from there when the folder is carried to the next day.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.day.cargo import FOLDERS
from tests.benchmarks.day.runner import python
from zoo.cli._common import find_recipe
from zoo.datasets import data_folder
from zoo.entries.catalog import list_models


def main(arguments: Sequence[str] | None = None) -> None:
    """Choose the recipes and train them."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day.runs")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--entries", nargs="*", help="what to train (default: the entries without weights)")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args(arguments)
    names = options.entries or without_weights()
    sets = [word for override in options.overrides for word in ("--set", override)]
    folder = options.out / "runs" / (names[0] if len(names) == 1 else "")
    command = python("-m", "zoo", "train", *names, "--resume", "--device", options.device, "--at-once", len(names),
                     "--out", folder, *sets)  # fmt: skip
    print(*command, flush=True)
    os.execv(command[0], command)


def without_weights() -> list[str]:
    """Return the entries that have no weights and whose images are here."""
    names = sorted(set(list_models()) - set(list_models(weights=True)))
    datasets = {name: find_recipe(name, []).data.name for name in names}
    here = {name for name, folder in FOLDERS.items() if (data_folder() / folder).is_dir()} | {"glyphs"}
    return [name for name in names if datasets[name] in here]


if __name__ == "__main__":
    main()
