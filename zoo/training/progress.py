"""What a person sees of a run: a rich progress bar on a terminal, one plain line per epoch elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from zoo.schema import Recipe
from zoo.training.trainer import Row, Trainer


class Progress:
    """Epoch, loss terms, images per second and time left. Use as a context manager around the run."""

    def __init__(self, recipe: Recipe, trainer: Trainer) -> None:
        self.epochs = recipe.training.epochs
        self.console = Console(highlight=False)
        images = len(trainer.train_images)
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        done = trainer.epoch * images + trainer.step % trainer.steps_per_epoch * recipe.training.batch_size
        self.task = self.bar.add_task(
            self._title(trainer.epoch + 1), total=self.epochs * images, completed=done, state=""
        )
        self.images_per_epoch = images
        self.mark = (time.perf_counter(), 0)
        self.seen = 0

    def _title(self, epoch: int) -> str:
        return f"epoch {min(epoch, self.epochs)}/{self.epochs}"

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(text, soft_wrap=True)

    def advance(self, images: int) -> None:
        """Count a step."""
        self.seen += images
        self.bar.advance(self.task, images)

    def epoch_done(self, row: Row) -> None:
        """Print the epoch's line: loss terms on both splits, speed, time left."""
        now = time.perf_counter()
        speed = (self.seen - self.mark[1]) / (now - self.mark[0])
        self.mark = (now, self.seen)
        left = (self.epochs - row["epoch"]) * self.images_per_epoch / speed
        terms = "  ".join(
            f"{split} " + " ".join(f"{name} {value:.2f}" for name, value in row[split].items())
            for split in ("train", "test")
        )
        pace = f"{speed:,.0f} images/s  {left:.0f} s left"
        self.say(f"{self._title(row['epoch'])}  {terms}  {pace}")
        state = " ".join(f"{name} {value:.1f}" for name, value in row["train"].items()) + f"  {speed:,.0f} images/s"
        self.bar.update(self.task, description=self._title(row["epoch"] + 1), state=state)
