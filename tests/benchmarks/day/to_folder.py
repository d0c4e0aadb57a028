"""From the command to the run folder, by the clock: ``python -m tests.benchmarks.day.to_folder``.

``zoo train`` in a process of its own, several times, the later ones with warm caches; ``to_folder.jsonl`` has a line
for each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.day.runner import append, python

FILE = "to_folder.jsonl"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and note the seconds: of the command, of its run up to the last epoch, of its epochs."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day.to_folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--entry", default="linear_vae_mnist")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args(arguments)
    sets = [word for override in options.overrides for word in ("--set", override)]
    for number in range(options.times):
        with TemporaryDirectory() as folder:
            command = python("-m", "zoo", "train", options.entry, "--device", options.device, "--out",
                             Path(folder, "run"), *sets)  # fmt: skip
            started = time.perf_counter()
            subprocess.run(command, check=True)
            seconds = round(time.perf_counter() - started, 1)
            config = json.loads(Path(folder, "run", "config.json").read_text())
        times = {name: config[name] for name in ("training_seconds", "wall_seconds")}
        append(options.out / FILE, {"entry": options.entry, "number": number + 1, "command_seconds": seconds, **times})
        print(f"{options.entry}, run {number + 1}: {seconds} s from the command to the folder, {times}", flush=True)


if __name__ == "__main__":
    main()
