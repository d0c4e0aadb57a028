"""The progress of runs for people: rich progress bars on a terminal, one plain line per epoch elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from zoo.errors import escaped
from zoo.runs.unfinished import sparkline
from zoo.schema.recipe import Recipe
from zoo.system.terminal import PlainConsole
from zoo.training.run_state import EpochRecord
from zoo.training.trainer import Trainer

CURVE_WIDTH = 12
"""The characters of the curve of the test loss beside a bar."""


class Progress:
    """Shows the lines and bars of one or several runs. Use it as a context manager around them.

    Args:
        named: begin each line with the name of its run.
        silent: show nothing.
    """

    def __init__(self, named: bool = False, silent: bool = False) -> None:
        self.named = named
        self.console = PlainConsole(quiet=silent)
        self.bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=self.console,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Progress:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self.console.print(escaped(text), soft_wrap=True, markup=False)

    @contextmanager
    def run(self, title: str, recipe: Recipe, trainer: Trainer) -> Iterator[RunProgress]:
        """Show a bar for one run while the context is active."""
        progress = RunProgress(self, f"{title}: " if self.named else "", recipe, trainer)
        try:
            yield progress
        finally:
            self.bars.remove_task(progress.task)


class RunProgress:
    """Shows the epoch, loss terms, images per second and time left of one run."""

    def __init__(self, progress: Progress, title: str, recipe: Recipe, trainer: Trainer) -> None:
        self.progress = progress
        self.title = title
        self.epochs = recipe.training.epochs
        self.images_per_epoch = sum(trainer.sizes)
        done = trainer.epoch * self.images_per_epoch + sum(trainer.sizes[: trainer.step % trainer.steps_per_epoch])
        self.task = progress.bars.add_task(
            self._epoch(trainer.epoch + 1), total=self.epochs * self.images_per_epoch, completed=done, state=""
        )
        self.epoch_start = (time.perf_counter(), 0)
        self.seen = 0
        self.losses = [row["test"]["loss"] for row in trainer.history]

    def _epoch(self, epoch: int) -> str:
        return f"{escaped(self.title)}epoch {min(epoch, self.epochs)}/{self.epochs}"

    def say(self, text: str) -> None:
        """Print a line about this run."""
        self.progress.say(f"{self.title}{text}")

    def advance(self, images: int) -> None:
        """Move the bar on by a number of images."""
        self.seen += images
        self.progress.bars.advance(self.task, images)

    def epoch_done(self, row: EpochRecord) -> None:
        """Print the epoch's line: loss terms on every split, speed, time left."""
        now = time.perf_counter()
        speed = (self.seen - self.epoch_start[1]) / (now - self.epoch_start[0])
        self.epoch_start = (now, self.seen)
        left = (self.epochs - row["epoch"]) * self.images_per_epoch / speed if speed else 0  # nothing was left to train
        terms = "  ".join(
            f"{split} " + " ".join(f"{name} {value:.2f}" for name, value in row[split].items())
            for split in ("train", "validation", "test")
            if split in row
        )
        if "gradient_norm" in row:
            terms += f"  gradient norm {row['gradient_norm']:.3g}"
        pace = f"{speed:,.0f} images/s  {left:.0f} s left"
        self.progress.say(f"{self._epoch(row['epoch'])}  {terms}  {pace}")
        self.losses.append(row["test"]["loss"])
        state = " ".join(f"{name} {value:.1f}" for name, value in row["train"].items()) + f"  {speed:,.0f} images/s"
        state += f"  test {sparkline(self.losses, CURVE_WIDTH)}"
        self.progress.bars.update(self.task, description=self._epoch(row["epoch"] + 1), state=state)
