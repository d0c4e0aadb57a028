"""What settings of a recipe cost on this CPU, each switched on against off: ``python -m tests.benchmarks.settings``.

Steps of ``linear_vae_mnist`` are timed in turns, a portion of each setting after the other; what acts at the ends of
epochs, in whole runs of a few epochs. Writes the tables in ``docs/performance.md``. Nothing else should run meanwhile.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.helpers import CPU, ROOT, load_images
from zoo.cli._common import find_recipe
from zoo.system.files import replace_between, write_atomically
from zoo.training.run import train
from zoo.training.trainer import Trainer

ENTRY = "linear_vae_mnist"
STEPS = {
    **{
        f"`{setting}`": (setting,)
        for setting in (
            "training.freeze=['encoder']",
            "optimizer.warmup_epochs=1",
            "optimizer.clip_norm=100",
            "optimizer.ema_decay=0.999",
            "optimizer.groups=[{'parameters':['encoder'],'learning_rate':0.0005}]",
            "training.accumulate=4",
        )
    },
    **{
        f"`training.augment`: {name}": (f"training.augment=[{{'name':'{name}'}}]",)
        for name in ("flip", "shift", "crop_resize", "rotation", "brightness", "contrast", "noise")
    },
}
"""The settings that act in a step."""
EPOCHS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "as the recipe is": ((), ()),
    "`training.validation=5000`": (("training.validation=5000",), ()),
    "the same and `training.select`": (
        ("training.validation=5000", "training.select={'metric':'loss','patience':20}"),
        (),
    ),
    "`--log tensorboard`": ((), ("tensorboard",)),
}
"""The settings, and loggers, that act between epochs."""
PORTION, TURNS, RUN = 100, 9, 4
"""Steps of a portion, portions of each setting, epochs of a whole run."""


def written(settings: Sequence[str]) -> list[str]:
    """Return settings as a command line has them, in JSON."""
    return [setting.replace("'", '"') for setting in settings]


def ready(settings: Sequence[str]) -> Trainer:
    """Return a trainer that runs step by step, so that the same is compared with the same."""
    recipe = find_recipe(ENTRY, ["execution.compile=off", *written(settings)])
    trainer = Trainer(recipe, load_images(recipe.data, "train"), load_images(recipe.data, "test"), CPU)
    trainer.prepare()
    return trainer


def seconds(trainer: Trainer) -> float:
    """Train a portion, and return the seconds of a step."""
    assert trainer.runner
    trainer.loader.start(trainer.order(), 0)
    with trainer.context.active():
        started = time.perf_counter()
        trainer.runner.run(PORTION, trainer.sizes[0])
        return (time.perf_counter() - started) / PORTION


def steps() -> Iterator[str]:
    """Yield the lines of the table about steps: each setting in turns with none, and nothing else in the caches."""
    plain = ready(())
    yield "| | µs a step | without | ratio |"
    yield "|---|--:|--:|--:|"
    for name, settings in STEPS.items():
        trainer = ready(settings)
        pairs = [(seconds(trainer), seconds(plain)) for _ in range(TURNS + 1)][1:]  # the first warms up
        on, off = (1e6 * statistics.median(side) for side in zip(*pairs, strict=True))
        yield f"| {name} | {on:,.0f} | {off:,.0f} | {statistics.median(a / b for a, b in pairs):.2f} |"


def epochs() -> Iterator[str]:
    """Yield the lines of the table about whole runs."""
    times: dict[str, list[float]] = {name: [] for name in EPOCHS}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(TURNS // 3 + 1):
            for name, (settings, loggers) in EPOCHS.items():
                recipe = find_recipe(ENTRY, ["execution.compile=off", f"training.epochs={RUN}", *written(settings)])
                started = time.perf_counter()
                train(recipe, Path(folder) / "run", log=loggers, overwrite=True)
                if turn:
                    times[name].append((time.perf_counter() - started) / RUN)
    first = next(iter(times.values()))
    yield "| | s an epoch | times the first |"
    yield "|---|--:|--:|"
    for name, values in times.items():
        ratio = statistics.median(value / base for value, base in zip(values, first, strict=True))
        yield f"| {name} | {statistics.median(values):,.2f} | {ratio:.2f} |"


def main() -> None:
    """Measure, print and write the tables."""
    page = ROOT / "docs" / "performance.md"
    for marker, lines in (("settings", steps()), ("between", epochs())):
        found = "\n".join(lines)
        print(found, flush=True)
        write_atomically(page, replace_between(page.read_text(), marker, found))


if __name__ == "__main__":
    main()
