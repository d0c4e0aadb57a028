"""What a run of the benchmark has measured, as its JSON file holds it, and the figures that follow from it."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tests.benchmarks.contestants import Kind
from zoo.errors import ZooError
from zoo.schema.parsing import parse_json, validate

TOLERANCE = 0.015
"""How far, relative to the reference's, a test loss may lie. Seeds of one trainer, after six epochs, lay 0.3 %
(linear_vae_mnist) and 0.6 % (ae_mnist) apart; on a sixth of the images 0.6 % (conv_vae_mnist) and 1.2 % (bn_vae_mnist);
on half of them 0.1 % (bn_vae_mnist).
"""

Axis = Literal["batch", "side", "at_once"]
"""What grows."""


class Record(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class Timing(Record):
    """What one contestant took."""

    label: str
    kind: Kind
    models: int = 1
    """Trained at once."""
    seconds: tuple[float, ...] = ()
    """The seconds of each timed epoch, of all its models together."""
    losses: tuple[float, ...] = ()
    """The test loss of each of its models after the last epoch."""
    peak_bytes: int | None = None
    how: str = ""
    """What it has chosen to do on the device."""
    absent: str | None = None
    """Why there are no figures."""

    @property
    def each(self) -> tuple[float, ...]:
        """Seconds of each timed epoch, per model."""
        return tuple(seconds / self.models for seconds in self.seconds)

    @property
    def typical(self) -> float:
        """The median of :attr:`each`."""
        return median(self.each)


class Race(Record):
    """One recipe, trained by several contestants in turn."""

    entry: str
    side: int
    """Height and width of the images."""
    images: int
    """In an epoch."""
    batch_size: int
    epochs: int
    """That every contestant trained, with the one that was not timed."""
    metric: str
    """Which test loss: a metric of :mod:`zoo.metrics._evaluate`."""
    tolerance: float
    flops: int
    """The floating-point operations of a step: see :func:`tests.benchmarks.bounds.step_cost`."""
    bytes: int
    timings: tuple[Timing, ...]

    @property
    def reference(self) -> Timing | None:
        """The reference loop that was the faster one here; None where neither has run."""
        ran = (timing for timing in self.timings if timing.kind == "reference" and timing.seconds)
        return min(ran, key=lambda timing: timing.typical, default=None)

    def ratios(self, timing: Timing) -> tuple[float, ...]:
        """Return how many times faster than the reference it was, epoch by epoch; nothing without a reference."""
        if not self.reference:
            return ()
        return tuple(theirs / its for theirs, its in zip(self.reference.each, timing.each, strict=True))

    def speedup(self, timing: Timing) -> float:
        """The median of :meth:`ratios`."""
        return median(self.ratios(timing))

    def void(self, timing: Timing) -> str:
        """Why the timing's times do not count, or nothing: it must have learnt as much as the reference."""
        if not timing.losses or not self.reference or not self.reference.losses:
            return ""
        expected = self.reference.losses[0]
        furthest = max((loss / expected - 1 for loss in timing.losses), key=abs)
        if abs(furthest) <= self.tolerance:  # also false for NaN
            return ""
        return f"void: its test loss differs from the reference's by {furthest:+.1%} (allowed: {self.tolerance:.1%})"

    def images_per_second(self, timing: Timing) -> float:
        """Return the training images per second of the median epoch."""
        return self.images / timing.typical

    def of_bound(self, timing: Timing, work_per_step: int, peak: float) -> float:
        """The least time in which the device could do the work of an epoch, relative to the time it took."""
        return work_per_step * self.images / self.batch_size / peak / timing.typical


class Results(Record):
    """One run of the command on one device."""

    device: str
    kind: str
    """The kind of device: cpu, cuda or mps."""
    cores: int
    load: float | None
    """Programs that were running on the machine just before, averaged over a minute."""
    date: str | None = None
    note: str = ""
    """What a reader has to know about the code that was measured."""
    command: str
    repetitions: int
    versions: dict[str, str]
    peak_flops: float
    """Per second, measured: a large matrix product in fp32."""
    peak_bandwidth: float
    """Bytes per second, measured: a large copy."""
    races: tuple[Race, ...] = ()
    growth: dict[Axis, tuple[Race, ...]] = Field(default_factory=dict)

    def with_race(self, race: Race, axis: Axis | None = None) -> Results:
        """Return it with one more race; ``axis`` says what grows, where it is one of how cost grows."""
        if axis is None:
            return self.model_copy(update={"races": (*self.races, race)})
        return self.model_copy(update={"growth": {**self.growth, axis: (*self.growth.get(axis, ()), race)}})

    def to_json(self) -> str:
        """Return it as the file holds it."""
        return self.model_dump_json(indent=2) + "\n"


def read_results(folder: Path) -> list[Results]:
    """Every file of a folder, in the order of their names.

    Raises:
        ZooError: one cannot be read or is not what the benchmark wrote.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(validate(Results, parse_json(path.read_text(encoding="utf-8"), str(path)), str(path)))
        except (OSError, UnicodeDecodeError) as error:
            raise ZooError(f"cannot read {path}: {error}") from error
    return found
