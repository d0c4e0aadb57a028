"""What was tried once on a device, beside the races: variations of the step, several seeds as one model, kernels.

The files in ``docs/benchmarks/experiments`` hold the figures, ``docs/performance.md`` their tables, which ``python -m
tests.benchmarks.train_speed --render`` writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tests.benchmarks.records import Record
from tests.benchmarks.report import table
from zoo.errors import ZooError
from zoo.schema.parsing import parse_json, validate


class Variation(Record):
    """One way to train a recipe, timed by itself in a process of its own."""

    entry: str
    changes: str
    """What differs from the shipped trainer."""
    training_ms: float
    """Milliseconds of an epoch's steps."""
    end_ms: float
    """Milliseconds of the end of an epoch, where the test images are measured."""
    epoch_ms: float
    """Milliseconds of a whole epoch, with what of the two overlaps."""
    step_us: float
    """Microseconds of a step."""
    test_loss: float


class StackedSeeds(Record):
    """Several seeds of a recipe, trained as one model with stacked parameters."""

    entry: str
    seeds: int
    changes: str = "as one model"
    """What they are trained by."""
    epoch_ms_per_seed: float
    """Milliseconds of an epoch, divided by the seeds."""
    step_us: float | None = None
    """Microseconds of a step of all seeds."""
    kernels: float | None = None
    """Kernels that a step starts."""
    compile_seconds: float | None = None
    first_epoch_seconds: float | None = None
    """Seconds from the command to the end of the first epoch."""


class KernelTime(Record):
    """The time that a kernel takes in a compiled step, all its calls together."""

    entry: str
    seeds: int = 1
    """The models that the step trains, as one with stacked parameters."""
    name: str
    calls: float
    """Calls in a step."""
    step_us: float
    """Microseconds in a step."""
    share: float
    """The share of the device's busy time."""


class Experiments(Record):
    """All that was tried on one device on one day."""

    device: str
    date: str
    commit: str
    versions: dict[str, str]
    variations: tuple[Variation, ...]
    stacked: tuple[StackedSeeds, ...]
    kernels: tuple[KernelTime, ...]


def render_experiments(folder: Path) -> str:
    """Write the tables of every file in the folder.

    Raises:
        ZooError: a file cannot be read or is not of this kind.
    """
    return "\n\n".join(part for path in sorted(folder.glob("*.json")) for part in section(_read(path)))


def section(experiments: Experiments) -> Iterator[str]:
    """Yield the paragraphs and tables of one file."""
    versions = ", ".join(f"{name} {version}" for name, version in experiments.versions.items())
    yield f"### {experiments.device}, {experiments.date}: what was tried"
    yield f"One process each, commit {experiments.commit}; {versions}."
    if experiments.variations:
        yield "**Variations of a compiled step**, milliseconds an epoch of 60,000 images; TF32 unless said."
        yield table(
            ("recipe", "changes", "training", "end of the epoch", "whole epoch", "us a step", "test loss"),
            2,
            (
                (f"`{v.entry}`", v.changes, f"{v.training_ms:.1f}", f"{v.end_ms:.1f}", f"{v.epoch_ms:.1f}",
                 f"{v.step_us:.0f}", f"{v.test_loss:.2f}")
                for v in experiments.variations
            ),
        )  # fmt: skip
    if experiments.stacked:
        yield "**Several seeds at once**, compiled and captured."
        yield table(
            ("recipe", "seeds", "how", "ms an epoch and seed", "us a step of all", "kernels a step", "s to compile",
             "s to the end of the first epoch"),
            3,
            (
                (f"`{s.entry}`", f"{s.seeds}", s.changes, f"{s.epoch_ms_per_seed:.1f}",
                 *map(rounded, (s.step_us, s.kernels, s.compile_seconds, s.first_epoch_seconds)))
                for s in experiments.stacked
            ),
        )  # fmt: skip
    for (entry, seeds), kernels in groupby(experiments.kernels, key=lambda kernel: (kernel.entry, kernel.seeds)):
        of = f"`{entry}`" + (f", {seeds} seeds as one model" if seeds > 1 else "")
        yield f"**Where the time of a compiled step goes**, {of}: the kernels that take most."
        yield table(
            ("kernel", "calls a step", "us a step", "share"),
            1,
            ((f"`{k.name}`", f"{k.calls:.0f}", f"{k.step_us:.1f}", f"{k.share:.0%}") for k in kernels),
        )


def rounded(value: float | None) -> str:
    """Write a number without decimals; nothing where it was not measured."""
    return "" if value is None else f"{value:,.0f}"


def _read(path: Path) -> Experiments:
    try:
        experiments: Experiments = validate(
            Experiments, parse_json(path.read_text(encoding="utf-8"), str(path)), str(path)
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"cannot read {path}: {error}") from error
    return experiments
