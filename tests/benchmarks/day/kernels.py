"""Where the time of a compiled step goes: ``python -m tests.benchmarks.day.kernels``.

The profiler counts the kernels of some steps. ``kernels.jsonl`` has a line for each of those that take most, and one
for all of them, with the time that passed meanwhile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from tests.benchmarks.day.runner import append, records
from tests.benchmarks.experiments import KernelTime
from zoo.cli._common import find_recipe
from zoo.datasets import load_images
from zoo.system.devices import choose_device
from zoo.training.stack import stacked_runner
from zoo.training.trainer import Trainer

FILE = "kernels.jsonl"
ENTRIES = ("linear_vae_mnist", "conv_vae_mnist")
ALL = "all kernels"
LEAST_STEPS = 96
SHOWN = 12
"""The kernels that get a line of their own."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile the steps of each entry."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day.kernels")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--entries", nargs="*", default=ENTRIES)
    parser.add_argument("--seeds", type=int, default=1, help="so many seeds as one model (default: one alone)")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args(arguments)
    for entry in options.entries:
        for record in profiled(entry, options.seeds, options.overrides, choose_device(options.device)):
            append(options.out / FILE, {"entry": entry, "seeds": options.seeds} | record)
            if record["name"] == ALL:
                print(f"{entry}, {options.seeds} at once: {record['calls']:.0f} kernels a step take "
                      f"{record['step_us']:.1f} us of {record['elapsed_us']:.1f}", flush=True)  # fmt: skip


def profiled(entry: str, seeds: int, overrides: Sequence[str], device: torch.device) -> Iterator[dict[str, Any]]:
    """Train some steps under the profiler, and yield the kernels that take most, then all of them together."""
    recipes = [find_recipe(entry, [*overrides, f"training.seed={seed}"]) for seed in range(seeds)]
    images = load_images(recipes[0].data, "train"), load_images(recipes[0].data, "test")
    trainers = [Trainer(recipe, *images, device) for recipe in recipes]
    first = trainers[0]
    if seeds == 1:
        first.prepare()
    runner = first.runner or stacked_runner(trainers)
    first.training_mode()
    for trainer in trainers:
        with trainer.context.active():
            trainer.loader.start(trainer.order(), 0)
    size = first.sizes[0]
    steps = max(1, min(LEAST_STEPS, first.sizes.count(size) // 2))  # twice within an epoch
    activity = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
    with first.context.active():
        runner.run(steps, size)
        wait(device)
        with profile(activities=[activity]) as profiler:
            started = time.perf_counter()
            runner.run(steps, size)
            wait(device)
            elapsed = time.perf_counter() - started
    found = [(event.key, event.count / steps, own_time(event, device) / steps) for event in profiler.key_averages()]
    found = sorted((item for item in found if item[2]), key=lambda item: -item[2])
    busy = sum(item[2] for item in found)
    for name, calls, step_us in found[:SHOWN]:
        yield {"name": name, "calls": calls, "step_us": step_us, "share": step_us / busy}
    yield {"name": ALL, "calls": sum(item[1] for item in found), "step_us": busy, "share": 1.0,
           "elapsed_us": 1e6 * elapsed / steps}  # fmt: skip


def own_time(event: Any, device: torch.device) -> float:
    """Return the microseconds of an event by itself."""
    return float(event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total)


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def kernel_times(file: Path) -> Iterator[KernelTime]:
    """Yield what was recorded, for the tables."""
    fields = set(KernelTime.model_fields)
    for record in records(file):
        yield KernelTime(**{name: value for name, value in record.items() if name in fields})


if __name__ == "__main__":
    main()
