"""Several seeds as one model against the same runs in turns, on this CPU: ``python -m tests.benchmarks.stacked``.

Writes the table in ``docs/performance.md``. Nothing else should run meanwhile.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence

import torch

from tests.helpers import CPU, ROOT, load_images
from zoo.cli._common import find_recipe
from zoo.system.files import replace_between, write_atomically
from zoo.training.stack import CannotStack, stacked_runner
from zoo.training.trainer import Trainer

MODELS: dict[str, Sequence[str]] = {
    "linear_vae_mnist": (),
    "linear_vae_mnist, hidden 64, batch 32": ("model.hidden=[64]", "training.batch_size=32"),
    "linear_vae_mnist, hidden 32, batch 16": ("model.hidden=[32]", "training.batch_size=16"),
    "conv_vae_mnist": (),
    "conv_vae_mnist, channels 4 and 8, hidden 32": ("model.channels=[4,8]", "model.hidden=[32]"),
}
REPETITIONS = 7


def trainers(entry: str, settings: Sequence[str], seeds: int) -> list[Trainer]:
    """Return trainers of a recipe with its first ``seeds`` seeds, at the beginning of the first epoch."""
    recipes = [find_recipe(entry, [*settings, f"training.seed={seed}"]) for seed in range(seeds)]
    images = load_images(recipes[0].data, "train"), load_images(recipes[0].data, "test")
    made = [Trainer(recipe, *images, CPU) for recipe in recipes]
    for trainer in made:
        trainer.loader.start(trainer.order(), 0)
    return made


def row(name: str, threads: int, seeds: int) -> str:
    """Measure one row of the table."""
    torch.set_num_threads(threads)
    entry = name.partition(",")[0]
    alone, together = trainers(entry, MODELS[name], seeds), trainers(entry, MODELS[name], seeds)
    runners = []
    for trainer in alone:
        trainer.prepare()
        assert trainer.runner
        runners.append(trainer.runner)
    try:
        stacked = stacked_runner(together)
    except CannotStack as error:
        return f"| {name} | {threads} | {seeds} | | {error} | |"
    size, steps, times = alone[0].sizes[0], 3, []
    for _ in range(REPETITIONS + 1):
        started = time.perf_counter()
        for trainer, runner in zip(alone, runners, strict=True):
            with trainer.context.active():
                runner.run(steps, size)
        between = time.perf_counter()
        with together[0].context.active():
            stacked.run(steps, size)
        ended = time.perf_counter()
        times.append((between - started, ended - between))
    once = 1e3 / steps / seeds
    in_turns, as_one = ([pair[index] * once for pair in times[1:]] for index in (0, 1))
    ratio = statistics.median(a / b for a, b in zip(in_turns, as_one, strict=True))
    return (
        f"| {name} | {threads} | {seeds} | {statistics.median(in_turns):.2f} | {statistics.median(as_one):.2f} "
        f"| {ratio:.2f} |"
    )


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| recipe | threads | seeds | in turns | as one model | times as fast |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name in MODELS:
        for threads in (1, 2):
            for seeds in (2, 8):
                yield row(name, threads, seeds)


if __name__ == "__main__":
    page = ROOT / "docs" / "performance.md"
    write_atomically(page, replace_between(page.read_text(), "stacked", "\n".join(table())))
