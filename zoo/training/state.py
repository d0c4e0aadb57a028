"""The state of a run: nested dicts and lists of tensors and JSON values, copied, taken apart, held against a recipe."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.schema.digest import differences
from zoo.schema.recipe import Recipe, parse_recipe
from zoo.training.go_on import may_go_on

State = dict[str, Any]
"""The state of a run: nested dicts and lists of tensors and JSON values."""


def apart(state: State) -> tuple[Any, dict[str, Tensor]]:
    """Return the state with a path in the stead of each tensor, and copies of the tensors by path, on the CPU."""
    tensors: dict[str, Tensor] = {}
    return _split(state, "", tensors), tensors


def together(tree: Any, tensors: dict[str, Tensor]) -> State:
    """Return the state that :func:`apart` has taken apart."""
    state: State = _join(tree, tensors)
    return state


def copied(state: State) -> State:
    """Return a copy of the state, its tensors on the CPU."""
    return together(*apart(state))


def recipe_of(state: State) -> Recipe:
    """Return the recipe of a checkpoint, parsed, so that fields which are newer than it have their defaults."""
    return parse_recipe(state["recipe"], "the checkpoint's recipe")


def check_same_run(state: State, recipe: Recipe, data: list[str], device: torch.device, processes: int) -> None:
    """Refuse a checkpoint that a run cannot continue from; warn where it can, but not to the same bits.

    Args:
        state: the content of the checkpoint.
        recipe: the recipe of the run.
        data: the digests of its training and test images.
        device: the device that it continues on.
        processes: the number of processes that train together.

    Raises:
        ZooError: the checkpoint is one of another recipe, other images or another number of processes.
    """
    before = recipe_of(state)
    differing = differences(may_go_on(before, recipe).to_dict(), recipe.to_dict())
    if differing:
        found = f"the checkpoint belongs to a run with another recipe ({'; '.join(differing)})"
        raise ZooError(f"{found}; resume with that one, or use --overwrite")
    if state["data"] != data:
        raise ZooError("the images have changed since the checkpoint was written; start again with --overwrite")
    processes_before, threads = len(state["random"]["cpu"]), recipe.execution.threads
    if processes_before != processes:
        raise ZooError(f"the run was started with {processes_before} processes, not {processes}; resume with as many")
    if state["device"] == device.type and (changed := _other_execution(state, before, recipe)):
        warnings.warn(f"{'; '.join(changed)}: sums will round differently from here on", stacklevel=3)
    if device.type == state["device"] == "cpu" and threads not in ("auto", state["threads"]):
        warnings.warn(
            f"the run was started on {state['threads']} threads and continues with {threads}: its sums will round "
            f"differently (execution.threads=auto keeps every bit)",
            stacklevel=3,
        )


def _other_execution(state: State, before: Recipe, now: Recipe) -> list[str]:
    """Return, in words, what of a run's execution is another one and changes its bits."""
    found = [
        f"execution.{name} was {then} and is {here}"
        for name in ("precision", "convolutions")
        if (then := getattr(before.execution, name)) != (here := getattr(now.execution, name))
    ]
    if state["compiled"] and now.execution.compile == "off":
        found.append("the steps were compiled, and execution.compile is off")
    return found


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
