"""Checkpoints: one file with everything a run needs to continue, the tensors as safetensors, the rest as JSON in it.

A file carries its own sha256, and the one before it is kept: a damaged checkpoint is never continued from. A run's
checkpoints are serialised and written by a second thread while training continues.
"""

from __future__ import annotations

import os
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor

from zoo.errors import ZooError, first_line
from zoo.runs.folder import CHECKPOINT_FILE
from zoo.schema.sections import Execution
from zoo.system.files import writing
from zoo.system.sealed import Damaged, seal, unseal
from zoo.training.state import State, apart, together


class DamagedCheckpoint(ZooError):
    """A checkpoint is not what was written."""


def write_checkpoint(path: Path, state: State) -> None:
    """Write a state atomically, and keep the checkpoint that was there as :func:`previous_path`.

    Raises:
        ZooError: the file cannot be written; the previous checkpoint is untouched.
    """
    _write(path, *apart(state))


def _write(path: Path, tree: Any, tensors: dict[str, Tensor]) -> None:
    with writing(path) as file:
        file.write(seal(tensors, "state", tree))
        file.flush()
        os.fsync(file.fileno())  # before the one that is there loses its name
        if path.exists():
            os.replace(path, previous_path(path))


def previous_path(path: Path) -> Path:
    """Return the path of the checkpoint before the one at ``path``."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def read_checkpoint(path: Path) -> State:
    """Read a state that :func:`write_checkpoint` has written, in this version or an earlier one.

    Raises:
        DamagedCheckpoint: it is not what was written.
        ZooError: the file is missing or cannot be read.
    """
    if path.exists() and not path.is_file():  # a pipe would never end
        raise ZooError(f"{path} is not a file; remove it, or choose another folder with --out")
    try:
        tensors, tree = unseal(path.read_bytes(), "state", unsealed=["__items__"])
        return together(tree, tensors)
    except OSError as error:
        raise ZooError(
            f"cannot read the checkpoint {path} ({error.strerror}); correct that, or start again with --overwrite"
        ) from error
    except (Damaged, KeyError, TypeError, ValueError) as error:
        raise DamagedCheckpoint(
            f"cannot read the checkpoint {path}: it is damaged ({first_line(error)}); start again with --overwrite"
        ) from error


def last_state(folder: Path) -> State:
    """Read the last checkpoint of a folder that is not damaged, and change nothing.

    Raises:
        ZooError: there is none.
    """
    path = folder / CHECKPOINT_FILE
    try:
        return read_checkpoint(path)
    except ZooError:
        if not previous_path(path).exists():
            raise
        return read_checkpoint(previous_path(path))


def keep_last_whole(path: Path) -> None:
    """Give the last checkpoint that is not damaged the name ``path``, with a warning if it is not the last of all.

    Raises:
        DamagedCheckpoint: there is none.
        ZooError: the files cannot be read or renamed.
    """
    previous = previous_path(path)
    try:
        if path.exists():
            try:
                read_checkpoint(path)
                return
            except DamagedCheckpoint:
                if not previous.exists():
                    raise
                read_checkpoint(previous)
                warnings.warn(f"the checkpoint {path} is damaged; going on from the one before it", stacklevel=2)
        os.replace(previous, path)
    except OSError as error:
        raise ZooError(f"cannot rename {previous} to {path}: {error.strerror}") from error


class Checkpoints:
    """Writes one run's checkpoints, each beside the one before it. Use it as a context manager around the run.

    Args:
        path: the file to write.
        settings: the section that says how often.
    """

    def __init__(self, path: Path, settings: Execution) -> None:
        self.path = path
        self.epochs = settings.checkpoint_epochs
        self.seconds = settings.checkpoint_minutes and 60 * settings.checkpoint_minutes
        self.written_at = time.monotonic()
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.writing: Future[None] | None = None

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.finish()
        finally:
            self.thread.shutdown()

    def due(self, epoch: int | None = None) -> bool:
        """Return whether it is time for the next checkpoint.

        Args:
            epoch: the number of epochs completed, if one has just ended.
        """
        by_clock = self.seconds is not None and time.monotonic() - self.written_at >= self.seconds
        return by_clock or bool(self.epochs and epoch and epoch % self.epochs == 0)

    def write(self, state: State, wait: bool = False) -> None:
        """Copy the state and start to write it, as soon as the previous checkpoint is written.

        Args:
            state: the state to write; it may change once this returns.
            wait: return only when the file is written.

        Raises:
            ZooError: the previous checkpoint could not be written, or, with ``wait``, this one.
        """
        self.finish()
        self.writing = self.thread.submit(_write, self.path, *apart(state))
        self.written_at = time.monotonic()
        if wait:
            self.finish()

    def finish(self) -> None:
        """Wait until the checkpoint in progress is written.

        Raises:
            ZooError: it cannot be written; the previous checkpoint is untouched.
        """
        writing, self.writing = self.writing, None
        if writing:
            writing.result()
