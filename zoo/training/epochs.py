"""The epochs of a run: portions of steps, the log, and checkpoints as often as wished, at the end and on signals."""

from __future__ import annotations

import json
from collections.abc import Iterator

from zoo.runs.folder import METRICS_FILE, SNAPSHOTS_FILE
from zoo.system.collectives import LostProcess
from zoo.system.files import append_line, write_atomically
from zoo.training.checkpoint import Checkpoints, read_checkpoint
from zoo.training.divergence import Divergence
from zoo.training.progress import RunProgress
from zoo.training.run_log import RunLog
from zoo.training.trainer import Trainer

GO_ON, SAVE, STOP = range(3)
"""The wishes that a process may have after a portion of steps; the largest wish of all processes counts."""


class Interrupted(KeyboardInterrupt):
    """A run was stopped by Ctrl-C or SIGTERM; it can be resumed from the checkpoint that the message names."""


def train_epochs(
    trainer: Trainer, checkpoints: Checkpoints, progress: RunProgress, signals: list[int], run_log: RunLog
) -> Iterator[None]:
    """Train to the last epoch, and yield after each portion of steps and each epoch.

    Checkpoints are written at the beginning, as often as the recipe says, at the end and on signals.

    Raises:
        Divergence: the loss is no longer finite; the message names the last good checkpoint.
        LostProcess: another process of the run has died.
        Interrupted: a signal has come; a checkpoint was written.
    """

    def save(wait: bool = False) -> None:
        with trainer.context.active():
            state = trainer.state()  # every process has to take part
            if trainer.group.rank == 0:
                checkpoints.write(state, wait)

    def save_or_stop(epoch_ended: bool) -> None:
        due = trainer.group.rank == 0 and checkpoints.due(trainer.epoch if epoch_ended else None)
        due = due if trainer.runner is None else trainer.runner.agreed(due)
        wish = STOP if signals else SAVE if due else GO_ON
        wish = SAVE if trainer.done else trainer.group.largest(wish, trainer.device)
        if wish == GO_ON:
            return
        trainer.check_finite()
        save(wait=wish == STOP or trainer.done)
        if wish == STOP:
            raise Interrupted(
                f"stopped at step {trainer.step}; the checkpoint is {checkpoints.path}. "
                f"Go on with the same command and --resume, or end it here: zoo finish {checkpoints.path.parent}"
            )

    log, writes = checkpoints.path.parent / METRICS_FILE, trainer.group.rank == 0
    begun = False

    def keep_snapshots() -> None:
        if writes and trainer.snapshots.epochs[-1:] == [trainer.epoch]:
            write_atomically(log.with_name(SNAPSHOTS_FILE), trainer.snapshots.content())

    try:
        save()  # so that a run that dies early can be resumed
        if writes and (earlier := trainer.log()):  # for those who look on, too
            write_atomically(log, earlier)
            begun = True
        keep_snapshots()
        while not trainer.done:
            for images in trainer.train_steps():
                progress.advance(images)
                if trainer.step % trainer.steps_per_epoch:
                    save_or_stop(epoch_ended=False)
                yield
            row = trainer.end_epoch()
            progress.epoch_done(row)
            run_log.epoch_done(trainer, row)
            if writes and begun:
                append_line(log, json.dumps(row))
            elif writes:  # whole, since a resumed run may have written more than it remembers
                write_atomically(log, trainer.log())
                begun = True
            keep_snapshots()  # for those who look on
            save_or_stop(epoch_ended=True)
            yield
    except Divergence as error:
        checkpoints.finish()
        step = read_checkpoint(checkpoints.path)["step"]
        raise Divergence(
            f"{error}; the last good checkpoint, step {step}, is {checkpoints.path}. "
            f"Try a lower learning rate: --set optimizer.learning_rate=... with --overwrite"
        ) from error
    except LostProcess as error:
        checkpoints.finish()
        raise LostProcess(
            f"{error}; the last checkpoint is {checkpoints.path}. Go on with the same command and --resume"
        ) from error
