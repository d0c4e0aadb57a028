"""A run from start to finish: its folder, what it resumes from, Ctrl-C, and the run folder at the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from zoo.datasets import load_images
from zoo.errors import ZooError
from zoo.models.own_modules import Module, handing_in, with_imports
from zoo.runs.folder import CHECKPOINT_FILE, CONFIG_FILE, read_config
from zoo.runs.remarks import remarks
from zoo.runs.unfinished import partial_folder
from zoo.schema.recipe import Recipe
from zoo.system.devices import choose_device
from zoo.system.files import user_path
from zoo.system.memory import OutOfMemory as OutOfMemory
from zoo.system.memory import explaining_memory
from zoo.system.process import threads_put_back, training_modes
from zoo.training.checkpoint import Checkpoints, keep_last_whole, last_state, read_checkpoint
from zoo.training.distributed import SINGLE_PROCESS, ProcessGroup
from zoo.training.dry_run import check_step
from zoo.training.epochs import train_epochs
from zoo.training.finish import finish
from zoo.training.output_folder import has_checkpoint, is_finished, publish, reserved
from zoo.training.progress import Progress
from zoo.training.run_log import check_loggers, logged
from zoo.training.stack import Stack
from zoo.training.start import resolved
from zoo.training.trainer import Trainer


def train(
    recipe: Recipe,
    out: str | os.PathLike[str],
    device: str | torch.device = "auto",
    *,
    resume: bool = False,
    overwrite: bool = False,
    group: ProcessGroup = SINGLE_PROCESS,
    log: Sequence[str] = (),
    encoder: Module | None = None,
    decoder: Module | None = None,
) -> Path:
    """Train a recipe and write its run folder.

    >>> import zoo
    >>> from zoo.training import train
    >>> folder = train(zoo.recipe("quickstart"), "runs/quickstart")  # doctest: +SKIP
    >>> model = zoo.load(folder)  # doctest: +SKIP

    Args:
        recipe: the recipe, from :func:`zoo.recipe` or :func:`zoo.schema.recipe.parse_recipe`.
        out: the run folder to write.
        device: the device to train on; ``"auto"`` takes the best there is.
        resume: continue from the last checkpoint of an unfinished run, if there is one.
        overwrite: replace a finished or unfinished run.
        group: the processes that train together.
        log: the names of loggers that show the run while it trains, such as ``"tensorboard"``.
        encoder: an encoder of your own, where the recipe's network is ``{"name": "own"}``: a module, whose weights the
            training starts from, or a class or function that makes one, whose weights are drawn from the recipe's seed.
        decoder: the decoder, likewise.

    Returns:
        The run folder, which :func:`zoo.load` takes.

    Raises:
        ZooError: a run is there already, the images are not available, or the folder cannot be written.
        Divergence: the loss is no longer finite; the message names the step, the term and the last good checkpoint.
        LostProcess: another process of the run has died.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    out, device = user_path(out), choose_device(str(device))
    with (
        handing_in(encoder, decoder) as own,
        training_modes(device),
        stop_signals() as signals,
        Progress(silent=group.rank > 0) as progress,
    ):
        recipe = with_imports(recipe, own, wanted=encoder is not None) if own else recipe
        for _ in run(recipe, out, device, progress, signals, resume=resume, overwrite=overwrite, group=group, log=log):
            pass
    return out


def written_out(recipe: Recipe) -> Recipe:
    """Return a recipe with what its data and its start turn out to be, as the card states it.

    Raises:
        ZooError: they cannot be found.
    """
    labels = bool(recipe.model.classes or recipe.data.only_classes)
    found = {"data": recipe.data.resolved(labels=labels), "training": resolved(recipe.training)}
    return recipe.model_copy(update=found)


def is_ready(recipe: Recipe, out: Path) -> bool:
    """Return whether ``out`` holds a finished run of this recipe, perhaps of another process."""
    try:
        return is_finished(out, written_out(recipe))
    except ZooError:
        return False


def run(
    recipe: Recipe,
    out: Path,
    device: torch.device,
    progress: Progress,
    signals: list[int],
    *,
    resume: bool = False,
    overwrite: bool = False,
    group: ProcessGroup = SINGLE_PROCESS,
    stack: Stack | None = None,
    log: Sequence[str] = (),
) -> Iterator[None]:
    """Train like :func:`train`, and yield after each portion of steps, so that several runs can take turns.

    Args:
        recipe: the recipe.
        out: the run folder to write.
        device: the device to train on.
        progress: the display of the run.
        signals: a list that the caller adds to in order to stop the run.
        resume: as in :func:`train`.
        overwrite: as in :func:`train`.
        group: as in :func:`train`.
        stack: the other seeds of the recipe that the run is trained with as one model, which take turns with it.
        log: as in :func:`train`.
    """
    check_loggers(log)
    folder = Path(os.path.abspath(user_path(out)))
    partial = partial_folder(folder)
    checkpoint = partial / CHECKPOINT_FILE
    recipe = written_out(recipe)
    if resume and not has_checkpoint(partial) and _is_ready_here(folder, recipe, overwrite):
        progress.say(f"{out} is finished already")
        return
    check_step(recipe)
    continues = resume and not overwrite and goes_on(folder, partial)
    overwrite = overwrite or continues  # what is replaced is the same run
    with threads_put_back(), reserved(folder, partial, resume=resume, overwrite=overwrite, writes=group.rank == 0):
        if resume and group.rank == 0 and has_checkpoint(partial):
            keep_last_whole(checkpoint)
        train_set, test_set = load_images(recipe.data, "train"), load_images(recipe.data, "test")
        for note in dict.fromkeys((*train_set.notes, *test_set.notes)):
            progress.say(note)
        with explaining_memory():
            trainer = Trainer(recipe, train_set, test_set, device, group)
            del train_set, test_set  # the trainer has what it needs of them
            if group.largest(int(group.rank == 0 and checkpoint.exists()), device):  # rank 0 has tidied up
                trainer.restore(read_checkpoint(checkpoint))
            elif continues:
                state = read_checkpoint(folder / CHECKPOINT_FILE)
                trainer.restore(state | {"replaces": read_config(folder).weights_sha256})
            else:
                if resume:
                    progress.say(f"there is no checkpoint in {partial} yet: starting with the first epoch")
                if trainer.start_note:
                    progress.say(trainer.start_note)
            execution = "all epochs are done"
            if (now := trainer.recipe.training.stretches) != recipe.training.stretches:
                progress.say(
                    f"{out.name}: the learning rate follows the new length from epoch {now[-1].until + 1} on; before, "
                    f"it was laid out over {now[-1].epochs} epochs"
                )
            if trainer.steps_left:
                how = (yield from stack.join(out, trainer)) if stack else trainer.prepare()
                threads = f" with {trainer.context.threads}" if device.type == "cpu" else ""
                execution = f"on {device}{threads}, {how}"
            elif stack:
                stack.leave(out)  # the others do not wait
            with logged(log, folder, trainer) as run_log:
                with (
                    progress.run(out.name, recipe, trainer) as run_progress,
                    Checkpoints(checkpoint, recipe.execution) as checkpoints,
                ):
                    run_progress.say(execution)
                    yield from train_epochs(trainer, checkpoints, run_progress, signals, run_log)
                if stack:
                    stack.leave(out)  # the others may go on
                if group.rank == 0:
                    if trainer.selection and trainer.selection.epoch:
                        progress.say(f"{out.name}: {trainer.selection.describe(trainer.epoch)}")
                    progress.say("measuring both splits, drawing the figures")
                    trainer.context.disable_tf32()
                    with trainer.context.active(), trainer.optimizer.averaged():
                        config = finish(trainer, partial, folder)
                    for sentence in remarks(config):
                        progress.say(f"{out.name}: {sentence}")
                    run_log.finished(trainer.epoch, config.metrics)
        if group.rank == 0:
            publish(partial, folder, overwrite=overwrite, keep=recipe.execution.keep_checkpoint)


def _is_ready_here(folder: Path, recipe: Recipe, overwrite: bool) -> bool:
    """Return what :func:`is_finished` does; with ``overwrite`` a run of another recipe is none."""
    try:
        return is_finished(folder, recipe)
    except ZooError:
        if not overwrite:
            raise
        return False


def goes_on(folder: Path, partial: Path) -> bool:
    """Return whether a run to ``folder`` goes on from the finished run that is there, now or after an interruption."""
    if not (folder / CONFIG_FILE).exists():
        return False
    if not has_checkpoint(partial):
        return has_checkpoint(folder)
    return last_state(partial).get("replaces") == read_config(folder).weights_sha256


_COLLECTING: list[list[int]] = []
"""The lists of the :func:`stop_signals` that are active, the innermost last; only the main thread has any."""


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM in the list that is yielded, so that no step is cut short; a second one interrupts at
    once. Within another such context, what has come is in its list afterwards."""
    caught: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    try:
        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: no signal arrives here
        yield caught
        return
    _COLLECTING.append(caught)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _COLLECTING.pop()
        if _COLLECTING:
            _COLLECTING[-1].extend(caught)
