"""A run from start to finish: the partial folder, checkpoints, Ctrl-C, going on, and the run folder at the end.

Training writes into ``<out>.partial``; only when everything is there does that folder become ``<out>``. So a run folder
is never half written, and one that is trained again stays whole until the new one is.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
from filelock import FileLock, Timeout

from zoo.artifacts import CONFIG_FILE, RUN_FILES, read_config
from zoo.builder import build
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
    place = Path(os.path.abspath(os.path.expanduser(out)))
    partial = place.parent / f"{place.name}.partial"
    checkpoint = partial / CHECKPOINT_FILE
    if resume and not checkpoint.exists() and finished(place, recipe):
        return out
    build(recipe)  # what cannot be built is refused before anything is written or downloaded
    with reserved(place, partial, resume=resume, overwrite=overwrite):
        train_set, test_set = load_images(recipe.data, "train"), load_images(recipe.data, "test")
        try:
            trainer = Trainer(recipe, train_set, test_set, device)
            if checkpoint.exists():
                trainer.restore(read_checkpoint(checkpoint))
            with Progress(recipe, trainer) as progress:
                run_epochs(trainer, progress, checkpoint)
                progress.say("measuring both splits, drawing the pictures")
                finish(trainer, train_set, test_set, partial)
        except torch.OutOfMemoryError as error:
            raise ZooError("the device's memory is full; lower training.batch_size or the model's sizes") from error
        publish(partial, place)
    return out


def run_epochs(trainer: Trainer, progress: Progress, checkpoint: Path) -> None:
    """Train to the last epoch, with a checkpoint every so many epochs, at the end and on Ctrl-C."""
    every = trainer.recipe.training.checkpoint_every
    with deferred_interrupt() as interrupted:

        def on_step(images: int) -> bool:
            progress.advance(images)
            return bool(interrupted)

        while not trainer.done:
            try:
                row = trainer.run_epoch(on_step)
                trainer.check_finite()
            except Divergence as error:
                raise Divergence(f"{error}; {last_words(checkpoint)}") from error
            if row:
                progress.epoch_done(row)
                write_atomically(checkpoint.parent / METRICS_FILE, trainer.log())
            if interrupted or trainer.done or (row and trainer.epoch % every == 0):
                write_checkpoint(checkpoint, trainer.state())
            if interrupted and not trainer.done:
                raise Interrupted(
                    f"stopped at step {trainer.step}; the checkpoint is {checkpoint}. "
                    f"Go on with the same command and --resume"
                )


def finished(out: Path, recipe: Recipe) -> bool:
    """Whether ``out`` holds a finished run of this recipe.

    Raises:
        ZooError: it holds a finished run of another recipe.
    """
    if not (out / CONFIG_FILE).exists():
        return False
    if read_config(out).checked_recipe.digest() == recipe.digest():
        return True
    raise ZooError(f"{out} was trained from another recipe; --overwrite replaces it, --out writes elsewhere")


@contextmanager
def reserved(out: Path, partial: Path, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Hold the partial folder of a run to ``out`` against other processes; leave it if it holds anything to go on from.

    Raises:
        ZooError: another process trains there, something is there already and neither ``resume`` nor ``overwrite`` was
            asked for, there is nothing to resume, ``out`` is no folder that a run has written, or it cannot be written.
    """
    if not out.name:
        raise ZooError(f"--out {out}: name a new folder for the run")
    make_folder(out.parent)
    lock = FileLock(out.parent / f".{out.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ZooError(f"another process is training into {out}; wait for it, or write elsewhere with --out") from error
    except OSError as error:
        raise ZooError(f"cannot write in {out.parent}: {error.strerror}; choose another place with --out") from error
    try:
        check_free(out, partial, resume=resume, overwrite=overwrite)
        if not resume and partial.exists():
            shutil.rmtree(partial)
        make_folder(partial)
        yield
    finally:
        if partial.is_dir() and not any(partial.iterdir()):
            partial.rmdir()
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def check_free(out: Path, partial: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to touch what is there, unless it is a run's and was asked for; see :func:`reserved`."""
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        if not out.is_dir() or {path.name for path in out.iterdir()} - RUN_FILES:
            raise ZooError(f"{out} holds files that no run has written; choose another place with --out")
        if not overwrite:
            raise ZooError(f"{out} is there already; --overwrite trains it again, --out writes elsewhere")
    begun = (partial / CHECKPOINT_FILE).exists()
    if begun and not (resume or overwrite):
        raise ZooError(f"an unfinished run is in {partial}; --resume goes on with it, --overwrite starts again")
    if resume and not begun:
        raise ZooError(f"no checkpoint in {partial}, so there is nothing to resume; train without --resume")


def publish(partial: Path, out: Path) -> None:
    """Turn a complete partial folder into the run folder, in place of an older one, or leave both as they are."""
    replaced = out.parent / f".{out.name}.replaced-{os.getpid()}"
    try:
        if out.exists():
            out.rename(replaced)
        try:
            partial.rename(out)
        except OSError:
            if replaced.exists():
                replaced.rename(out)
            raise
        (out / CHECKPOINT_FILE).unlink()
    except OSError as error:
        raise ZooError(f"cannot rename {partial} to {out}: {error.strerror}; the new run is complete there") from error
    shutil.rmtree(replaced, ignore_errors=True)


def last_words(checkpoint: Path) -> str:
    """What a diverged run leaves behind and what to try."""
    left = "no checkpoint was written before"
    if checkpoint.exists():
        left = f"the last good checkpoint, step {read_checkpoint(checkpoint)['step']}, is {checkpoint}"
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
