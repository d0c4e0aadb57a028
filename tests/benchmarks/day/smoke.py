"""Every variant for two short epochs, each way that a step can run: ``python -m tests.benchmarks.day.smoke``.

The variants run side by side, each in a process of its own. A line of ``smoke.jsonl`` says whether the step ran the way
that was asked for, and whether the loss fell.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.day.runner import append, python, records
from tests.helpers import SHIPPED_VARIANTS, tiny_recipe_of
from zoo.datasets import load_images
from zoo.errors import first_line
from zoo.system.devices import choose_device
from zoo.training.runners import GraphRunner
from zoo.training.trainer import Trainer

WAYS = {
    "compiled": {"compile": "on", "graph": "on"},
    "captured": {"compile": "off", "graph": "on"},
    "uncompiled": {"compile": "off", "graph": "off"},
}
PRECISIONS = ("tf32", "bf16")
FILE = "smoke.jsonl"


def main(arguments: Sequence[str] | None = None) -> None:
    """Start a process for each variant, or be one of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day.smoke")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variants", nargs="*", default=SHIPPED_VARIANTS)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    options = parser.parse_args(arguments)
    if len(options.variants) == 1:
        for record in smoke(options.variants[0], options.ways, choose_device(options.device)):
            append(options.out / FILE, record)
        return
    rest = ["--device", options.device, "--out", options.out, "--ways", *options.ways]
    commands = [python("-m", __spec__.name, "--variants", variant, *rest) for variant in options.variants]
    for process in [subprocess.Popen(command) for command in commands]:
        process.wait()
    asked = len(options.variants) * len(options.ways) * len(PRECISIONS)
    found = records(options.out / FILE)
    bad = [record for record in found if not record["ok"]]
    for record in bad:
        print("BAD", record)
    print(f"{len(found) - len(bad)} of {asked} ways went well")
    sys.exit(len(found) - len(bad) < asked)


def smoke(variant: str, ways: Sequence[str], device: torch.device) -> Iterator[dict[str, Any]]:
    """Train a variant in each way and precision, and yield what came of it."""
    for way, precision in product(ways, PRECISIONS):
        record: dict[str, Any] = {"variant": variant, "way": way, "precision": precision}
        try:
            record |= trained(variant, WAYS[way] | {"precision": precision}, device)
        except Exception as error:
            record |= {"ok": False, "error": f"{type(error).__name__}: {first_line(error)}"}
        yield record


def trained(variant: str, execution: dict[str, str], device: torch.device) -> dict[str, Any]:
    """Train two epochs of some 30 steps."""
    recipe = tiny_recipe_of(variant, training={"epochs": 2, "batch_size": 8}, execution=execution)
    trainer = Trainer(recipe, load_images(recipe.data, "train"), load_images(recipe.data, "test"), device)
    started = time.perf_counter()
    how = trainer.prepare()
    prepared = time.perf_counter() - started
    losses = [trainer.run_epoch()["train"]["loss"] for _ in range(2)]  # type: ignore[index]  # never stopped on the way
    runner = trainer.runner
    as_asked = runner is not None and runner.compiled == (execution["compile"] == "on")
    if device.type == "cuda":
        as_asked = as_asked and isinstance(runner, GraphRunner) == (execution["graph"] == "on")
    fell = losses[1] < losses[0]  # also false for NaN
    return {"ok": as_asked and fell, "losses": losses, "prepare_s": round(prepared, 1), "how": how}


if __name__ == "__main__":
    main()
