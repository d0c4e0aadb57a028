"""One file with everything a run needs to go on: safetensors for the tensors, JSON in its metadata for the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import load_file, save
from torch import Tensor

from zoo.errors import ZooError
from zoo.files import write_atomically

State = dict[str, Any]
"""Nested dicts and lists of tensors and JSON values."""


def write_checkpoint(path: Path, state: State) -> None:
    """Write a state atomically.

    Raises:
        ZooError: the file cannot be written; the checkpoint before it is untouched.
    """
    tensors: dict[str, Tensor] = {}
    rest = _split(state, "", tensors)
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
