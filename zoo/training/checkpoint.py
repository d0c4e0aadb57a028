"""Checkpoints: one file with everything a run needs to continue, the tensors as safetensors, the rest as JSON in it.

A run's checkpoints are serialised and written by a second thread while training continues.
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
"""The state of a run: nested dicts and lists of tensors and JSON values."""


def write_checkpoint(path: Path, state: State) -> None:
    """Write a state atomically.

    Raises:
        ZooError: the file cannot be written; the previous checkpoint is untouched.
    """
    _write(path, *_snapshot(state))


def _snapshot(state: State) -> tuple[Any, dict[str, Tensor]]:
    """Return copies of the tensors in the state, by dotted path, and the state with those paths in their stead."""
    tensors: dict[str, Tensor] = {}
    return _split(state, "", tensors), tensors


def copied(state: State) -> State:
    """Return a copy of the state, its tensors on the CPU."""
    copy: State = _join(*_snapshot(state))
    return copy


def _write(path: Path, tree: Any, tensors: dict[str, Tensor]) -> None:
    write_atomically(path, save(tensors, metadata={"state": json.dumps(tree)}))


def read_checkpoint(path: Path) -> State:
    """Read a state that :func:`write_checkpoint` has written.

    Raises:
        ZooError: the file is missing or damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tree = json.loads(file.metadata()["state"])
        state: State = _join(tree, load_file(path))
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ZooError(f"cannot read the checkpoint {path} ({error}); start again with --overwrite") from error
    return state


def check_same_run(state: State, recipe: Recipe, data: list[str], device: torch.device, processes: int) -> None:
    """Refuse a checkpoint that a run cannot continue from; warn where it can, but not to the same bits.

    Args:
        state: the content of the checkpoint.
        recipe: the recipe of the run.
        data: the digests of its training and test images.
        device: the device that it continues on.
        processes: the number of processes that train together.

    Raises:
        ZooError: the checkpoint is one of another recipe, other images, another kind of device or another number of
            processes.
    """
    # Parsed, so that fields which are newer than the checkpoint have their defaults.
    before = parse_recipe(state["recipe"], "the checkpoint's recipe").to_dict()
    differing = differences(before, recipe.to_dict())
    if differing:
        raise ZooError(
            f"the checkpoint belongs to a run with another recipe ({'; '.join(differing)}); resume with that one, "
            f"or use --overwrite"
        )
    if state["data"] != data:
        raise ZooError("the images have changed since the checkpoint was written; start again with --overwrite")
    if state["device"] != device.type:
        raise ZooError(f"the run was started on another kind of device; resume with --device {state['device']}")
    processes_before, threads = len(state["random"]["cpu"]), torch.get_num_threads()
    if processes_before != processes:
        raise ZooError(f"the run was started with {processes_before} processes, not {processes}; resume with as many")
    if device.type == "cpu" and state["threads"] != threads:
        warnings.warn(
            f"the run was started on {state['threads']} threads and continues with {threads}: its sums will round "
            f"differently (OMP_NUM_THREADS={state['threads']} keeps every bit)",
            stacklevel=3,
        )


class Checkpoints:
    """Writes one run's checkpoints, each replacing the previous one. Use it as a context manager around the run.

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
        self.writing = self.thread.submit(_write, self.path, *_snapshot(state))
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


def _split(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Move the tensors of a state into ``tensors``; return the state with their paths instead."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().contiguous().clone()  # tied weights share memory
        return {"__tensor__": path}
    if isinstance(value, dict):
        # JSON turns integer keys into strings; a list of pairs keeps them.
        return {"__items__": [[key, _split(inner, f"{path}.{key}", tensors)] for key, inner in value.items()]}
    if isinstance(value, list | tuple):
        return [_split(inner, f"{path}.{index}", tensors) for index, inner in enumerate(value)]
    return value


def _join(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_join(inner, tensors) for inner in value]
    if isinstance(value, dict) and "__tensor__" in value:
        return tensors[value["__tensor__"]]
    if isinstance(value, dict):
        return {key: _join(inner, tensors) for key, inner in value["__items__"]}
    return value
