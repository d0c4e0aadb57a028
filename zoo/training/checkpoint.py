"""One file with everything a run needs to go on: safetensors for the tensors, JSON in its metadata for the rest.

A run's checkpoints are serialised and written by a second thread while training goes on.
"""

from __future__ import annotations

import json
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from zoo.errors import ZooError
from zoo.schema.digest import differences
from zoo.schema.recipe import Recipe, parse_recipe
from zoo.schema.sections import Execution
from zoo.system.files import write_atomically

State = dict[str, Any]
"""Nested dicts and lists of tensors and JSON values."""


def write_checkpoint(path: Path, state: State) -> None:
    """Write a state atomically.

    Raises:
        ZooError: the file cannot be written; the checkpoint before it is untouched.
    """
    _write(path, *_snapshot(state))


def _snapshot(state: State) -> tuple[dict[str, Tensor], Any]:
    """Copies of the tensors in the state, which may change from now on, and everything else."""
    tensors: dict[str, Tensor] = {}
    return tensors, _split(state, "", tensors)


def copied(state: State) -> State:
    """A copy of the state on the CPU."""
    tensors, rest = _snapshot(state)
    found: State = _join(rest, tensors)
    return found


def _write(path: Path, tensors: dict[str, Tensor], rest: Any) -> None:
    write_atomically(path, save(tensors, metadata={"state": json.dumps(rest)}))


def read_checkpoint(path: Path) -> State:
    """Read what :func:`write_checkpoint` wrote.

    Raises:
        ZooError: the file is missing or damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            rest = json.loads(file.metadata()["state"])
        state: State = _join(rest, load_file(path))
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ZooError(f"cannot read the checkpoint {path} ({error}); start again with --overwrite") from error
    return state


def check_same_run(state: State, recipe: Recipe, data: list[str], device: torch.device, processes: int) -> None:
    """Refuse a checkpoint that a run cannot go on from; warn where it can, but not to the same bits.

    Raises:
        ZooError: it is of a run with another recipe, other data, or another kind or number of devices.
    """
    begun = parse_recipe(state["recipe"], "the checkpoint's recipe").to_dict()  # with defaults that have come since
    differing = differences(begun, recipe.to_dict())
    if differing:
        raise ZooError(
            f"the checkpoint is of a run with another recipe ({'; '.join(differing)}); resume with that one, "
            f"or use --overwrite"
        )
    if state["data"] != data:
        raise ZooError("the images have changed since the checkpoint was written; start again with --overwrite")
    if state["device"] != device.type:
        raise ZooError(f"the run was begun on another kind of device; resume with --device {state['device']}")
    begun_with, threads = len(state["random"]["cpu"]), torch.get_num_threads()
    if begun_with != processes:
        raise ZooError(f"the run was begun with {begun_with} processes, not {processes}; resume with as many")
    if device.type == "cpu" and state["threads"] != threads:
        warnings.warn(
            f"the run was begun on {state['threads']} threads and goes on with {threads}: its sums will round "
            f"differently (OMP_NUM_THREADS={state['threads']} keeps every bit)",
            stacklevel=3,
        )


class Checkpoints:
    """Writes one run's checkpoints, each in place of the one before it. Use as a context manager around the run.

    Args:
        path: the file.
        settings: how often.
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
        """Whether it is time for another; ``epoch`` epochs have just been completed, if any."""
        by_clock = self.seconds is not None and time.monotonic() - self.written_at >= self.seconds
        return by_clock or bool(self.epochs and epoch and epoch % self.epochs == 0)

    def write(self, state: State, wait: bool = False) -> None:
        """Copy the state and begin to write it, once the one before it is written.

        Raises:
            ZooError: that one could not be written, or this one, if ``wait``.
        """
        self.finish()
        self.writing = self.thread.submit(_write, self.path, *_snapshot(state))
        self.written_at = time.monotonic()
        if wait:
            self.finish()

    def finish(self) -> None:
        """Wait for what is being written.

        Raises:
            ZooError: it cannot be written; the checkpoint before it is untouched.
        """
        writing, self.writing = self.writing, None
        if writing:
            writing.result()


def _split(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[place] = value.detach().cpu().contiguous().clone()  # tied weights share memory
        return {"__tensor__": place}
    if isinstance(value, dict):
        # JSON turns integer keys into strings; a list of pairs keeps them.
        return {"__items__": [[key, _split(inner, f"{place}.{key}", tensors)] for key, inner in value.items()]}
    if isinstance(value, list | tuple):
        return [_split(inner, f"{place}.{index}", tensors) for index, inner in enumerate(value)]
    return value


def _join(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_join(inner, tensors) for inner in value]
    if isinstance(value, dict) and "__tensor__" in value:
        return tensors[value["__tensor__"]]
    if isinstance(value, dict):
        return {key: _join(inner, tensors) for key, inner in value["__items__"]}
    return value
