"""A run from start to finish: the partial folder, checkpoints, Ctrl-C, going on, and the run folder at the end.

Training writes into ``<out>.partial``; only when everything is there does that folder become ``<out>``. So a run folder
is never half written, and one that is trained again stays whole until the new one is.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from zoo.artifacts import CONFIG_FILE, read_config
from zoo.data import load_images
from zoo.errors import ZooError
from zoo.files import make_folder, write_atomically
from zoo.schema import Recipe
from zoo.training.checkpoint import read_checkpoint, write_checkpoint
from zoo.training.finish import finish
from zoo.training.progress import Progress
from zoo.training.trainer import METRICS_FILE, Divergence, Trainer

CHECKPOINT_FILE = "checkpoint.safetensors"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; the run can go on from the checkpoint that the message names."""


def train(
    recipe: Recipe,
    out: Path,
    device: torch.device,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> Path:
    """Train a recipe and write its run folder.

    Args:
        recipe: what to train.
        out: the run folder to write.
        device: where to train.
        resume: go on from the last checkpoint of an unfinished run.
        overwrite: replace a finished or unfinished run.

    Returns:
        ``out``.

    Raises:
        ZooError: a run is there already, the data cannot be had, the folder cannot be written.
        Divergence: the loss is no longer finite; names step, term and last good checkpoint.
        Interrupted: Ctrl-C; a checkpoint was written.
    """
    partial = out.with_name(out.name + ".partial")
    checkpoint = partial / CHECKPOINT_FILE
    if resume and not checkpoint.exists() and finished(out, recipe):
        return out
    claim(out, partial, resume=resume, overwrite=overwrite)
    train_set, test_set = load_images(recipe.data, "train"), load_images(recipe.data, "test")
    trainer = Trainer(recipe, train_set, test_set, device)
    if checkpoint.exists():
        trainer.restore(read_checkpoint(checkpoint))
    last_good = trainer.epoch if checkpoint.exists() else None

    with Progress(recipe, trainer) as progress, deferred_interrupt() as interrupted:
        while not trainer.done:
            try:
                row = trainer.run_epoch(lambda images: progress.advance(images) or bool(interrupted))
            except Divergence as error:
                raise Divergence(f"{error}; {last_words(last_good, checkpoint)}") from error
            if row:
                progress.epoch_done(row)
                write_atomically(partial / METRICS_FILE, trainer.log())
            if interrupted or trainer.done or (row and trainer.epoch % recipe.training.checkpoint_every == 0):
                write_checkpoint(checkpoint, trainer.state())
                last_good = trainer.epoch
            if interrupted and not trainer.done:
                raise Interrupted(
                    f"stopped at step {trainer.step}; the checkpoint is {checkpoint}. "
                    f"Go on with the same command and --resume"
                )
        progress.say("measuring both splits, drawing the pictures")
        finish(trainer, train_set, test_set, partial)
    publish(partial, out)
    return out


def finished(out: Path, recipe: Recipe) -> bool:
    """Whether ``out`` holds a finished run of this recipe.

    Raises:
        ZooError: it holds a finished run of another recipe.
    """
    if not (out / CONFIG_FILE).exists():
        return False
    if read_config(out).recipe_sha256 == recipe.digest():
        return True
    raise ZooError(f"{out} was trained from another recipe; --overwrite replaces it, --out writes elsewhere")


def claim(out: Path, partial: Path, *, resume: bool, overwrite: bool) -> None:
    """Make or find the partial folder of a run to ``out``.

    Raises:
        ZooError: something is there already and neither ``resume`` nor ``overwrite`` was asked for, there is nothing to
            resume, ``out`` is a folder that no run has written, or the folder cannot be made.
    """
    begun = (partial / CHECKPOINT_FILE).exists()
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        if not (out / CONFIG_FILE).exists():
            raise ZooError(f"{out} is there already and is no run folder; choose another one with --out")
        if not overwrite:
            raise ZooError(f"{out} is there already; --overwrite trains it again, --out writes elsewhere")
    if begun and not (resume or overwrite):
        raise ZooError(f"an unfinished run is in {partial}; --resume goes on with it, --overwrite starts again")
    if resume and not begun:
        raise ZooError(f"no checkpoint in {partial}, so there is nothing to resume; train without --resume")
    if begun and not resume:
        shutil.rmtree(partial)
    make_folder(partial)
    write_atomically(partial / ".writable", "")
    (partial / ".writable").unlink()


def publish(partial: Path, out: Path) -> None:
    """Turn a complete partial folder into the run folder, in place of an older one."""
    replaced = out.with_name(out.name + ".replaced")
    try:
        if out.exists():
            out.rename(replaced)
        partial.rename(out)
        (out / CHECKPOINT_FILE).unlink()
    except OSError as error:
        raise ZooError(f"cannot rename {partial} to {out}: {error.strerror}; the first is complete") from error
    shutil.rmtree(replaced, ignore_errors=True)


def last_words(last_good: int | None, checkpoint: Path) -> str:
    """What a diverged run leaves behind and what to try."""
    left = (
        "no checkpoint was written before"
        if last_good is None
        else f"the last good checkpoint, epoch {last_good}, is {checkpoint}"
    )
    return f"{left}. Try a lower learning rate: --set optimizer.learning_rate=... with --overwrite"


@contextmanager
def deferred_interrupt() -> Iterator[list[int]]:
    """Collect Ctrl-C instead of raising it in the middle of a step; a second one raises KeyboardInterrupt at once."""
    caught: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    try:
        previous = signal.signal(signal.SIGINT, on_signal)
    except ValueError:  # not in the main thread: nobody can press Ctrl-C here
        yield caught
        return
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, previous)
