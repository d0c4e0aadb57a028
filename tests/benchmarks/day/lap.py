"""One contender of an A/B: trains epochs of a recipe when it is told to, with the zoo that lies in a given folder.

Run as a file, by :mod:`tests.benchmarks.day.turns`. It imports nothing of the tests, because the folder may hold
another commit; the few names that it uses are looked up under their older addresses as well. Each line that comes in on
stdin asks for a turn; a line of JSON goes out for it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

ADDRESSES = {
    "find_recipe": ("zoo.cli._common", "zoo.cli"),
    "load_images": ("zoo.datasets", "zoo.data"),
    "choose_device": ("zoo.system.devices", "zoo.devices"),
    "Trainer": ("zoo.training.trainer",),
}


def found(name: str) -> Any:
    """Return a name from the first of its addresses that exists in this zoo."""
    for address in ADDRESSES[name]:
        try:
            return getattr(import_module(address), name)
        except (ModuleNotFoundError, AttributeError):
            continue
    raise SystemExit(f"this zoo has no {name}")


def main() -> None:
    """Prepare, say so, and take turns until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--entry", required=True)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed is no answer
    sys.path[0] = options.root
    os.chdir(options.root)

    recipe = found("find_recipe")(options.entry, options.overrides)
    images = [found("load_images")(recipe.data, split) for split in ("train", "test")]
    trainer = found("Trainer")(recipe, *images, found("choose_device")(options.device))
    started = time.perf_counter()
    how = trainer.prepare()
    prepared = time.perf_counter() - started
    trainer.run_epoch()  # not timed
    answers.write(json.dumps({"prepare_s": round(prepared, 1), "how": how}) + "\n")
    for _ in sys.stdin:
        answers.write(json.dumps(lap(trainer)) + "\n")


def lap(trainer: Any) -> dict[str, float]:
    """Train one epoch whose two parts are timed, waiting for the device between them, and one as a whole."""
    steps: Callable[[], Any] = getattr(trainer, "train_steps", None) or trainer.segments
    times = [now(trainer)]
    for _ in steps():
        pass
    times.append(now(trainer))
    trainer.end_epoch()
    times.append(now(trainer))
    row = trainer.run_epoch()
    times.append(now(trainer))
    training, end, whole = (1000 * (b - a) for a, b in zip(times, times[1:], strict=False))
    return {"training_ms": training, "end_ms": end, "epoch_ms": whole, "step_us": 1000 * training
            / trainer.steps_per_epoch, "test_loss": row["test"]["loss"]}  # fmt: skip


def now(trainer: Any) -> float:
    """Return the time when the device has done what it was given."""
    import torch

    if trainer.device.type != "cpu":
        torch.accelerator.synchronize(trainer.device)
    return time.perf_counter()


if __name__ == "__main__":
    main()
