"""Contestants take turns: one epoch each, again and again, so that whatever else the machine does meets all alike."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from tests.benchmarks.bounds import step_cost, synchronise
from tests.benchmarks.contestants import Entrant
from tests.benchmarks.memory import CudaMemory, peak_bytes
from tests.benchmarks.records import TOLERANCE, Race, Timing
from zoo.datasets import ImageSet, load_images
from zoo.errors import ZooError, first_line
from zoo.metrics import measure
from zoo.schema.recipe import Recipe


class Runner:
    """A contestant on its way. Its first epoch is trained here and not timed."""

    def __init__(self, entrant: Entrant, train: ImageSet, test: ImageSet, device: torch.device) -> None:
        self.device = device
        self.memory = CudaMemory(device)
        self.seconds: list[float] = []
        with self.memory.counted():
            self.contestant = entrant.build(train, test, device)
            self.contestant.train_epoch()
            synchronise(device)
        self.contestant.end_epoch()

    def take_turn(self) -> None:
        """Train an epoch and note its seconds, until the device is done."""
        with self.memory.counted():
            synchronise(self.device)
            started = time.perf_counter()
            self.contestant.train_epoch()
            synchronise(self.device)
            self.seconds.append(round(time.perf_counter() - started, 6))
        self.contestant.end_epoch()

    def figures(self) -> dict[str, Any]:
        """Return the fields of :class:`~tests.benchmarks.records.Timing` that are measured."""
        return {"seconds": self.seconds, "how": self.contestant.how, "peak_bytes": self.memory.peak or None}


def race(
    recipe: Recipe, entrants: Sequence[Entrant], device: torch.device, repetitions: int, *, speed_only: bool = False
) -> Race:
    """Train a recipe with every entrant: one epoch that is not timed, then ``repetitions`` in turn.

    Args:
        recipe: what all of them train.
        entrants: in the order of their turns.
        device: where.
        repetitions: timed epochs; an interrupt ends the race after those that all have trained, if there is one.
        speed_only: measure no test loss and, on a CPU, no memory.
    """
    train, test = load_images(recipe.data, "train"), load_images(recipe.data, "test")
    flops, moved = step_cost(recipe)
    runners: dict[str, Runner] = {}
    absent: dict[str, str] = {}

    @contextmanager
    def or_absent(label: str) -> Iterator[None]:
        """What goes wrong costs this contestant its row, and nobody else's."""
        try:
            yield
        except Exception as error:
            runners.pop(label, None)
            what = str(error) if isinstance(error, ZooError) else f"{type(error).__name__}: {first_line(error)}"
            absent[label] = what
            print(f"{recipe.name}: {label} drops out: {what}", flush=True)

    for entrant in entrants:
        with or_absent(entrant.label):
            runners[entrant.label] = Runner(entrant, train, test, device)
    done = 0
    for repetition in range(repetitions):
        try:
            for label, runner in list(runners.items()):
                with or_absent(label):
                    runner.take_turn()
        except KeyboardInterrupt:
            if not done:
                raise
            for runner in runners.values():
                del runner.seconds[done:]
            print(f"{recipe.name}: stopped after {done} of {repetitions} epochs", flush=True)
            speed_only = True  # some have trained more than others
            break
        done += 1
        times = ", ".join(f"{label} {runner.seconds[-1]:.3f} s" for label, runner in runners.items())
        print(f"{recipe.name}, epoch {repetition + 1} of {repetitions}: {times}", flush=True)

    metric = "negative_elbo" if recipe.objective.name == "elbo" else "mse"
    timings = []
    for entrant in entrants:
        found: dict[str, Any] = {}
        if entrant.label in runners:
            with or_absent(entrant.label):
                runner = runners[entrant.label]
                found = runner.figures()
                try:
                    if not speed_only:
                        models = runner.contestant.models
                        found["losses"] = [measure(model, test, recipe.data)[metric] for model in models]
                    if not speed_only and device.type == "cpu":
                        found["peak_bytes"] = peak_bytes(entrant)
                except KeyboardInterrupt:
                    speed_only = True
        if entrant.label in absent:
            found = {"absent": absent[entrant.label]}
        timings.append(Timing(label=entrant.label, kind=entrant.kind, models=entrant.models, **found))
    return Race(
        entry=recipe.name,
        side=recipe.data.image_shape[1],
        images=len(train),
        batch_size=recipe.training.batch_size,
        epochs=1 + done,
        metric=metric,
        tolerance=TOLERANCE,
        flops=flops,
        bytes=moved,
        timings=tuple(timings),
    )
