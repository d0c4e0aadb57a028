"""What steps were measured to take on this machine's CPU, remembered, so that the same choice is made again.

The file lies in the folder of caches. It decides what is fast, never what is right: one that cannot be read or written,
or is not of this kind, is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import suppress
from pathlib import Path

import torch

from zoo._version import __version__
from zoo.datasets import data_folder
from zoo.errors import ZooError
from zoo.schema.parsing import parse_json
from zoo.system.devices import cpu_name
from zoo.system.files import read_file, write_atomically
from zoo.system.folders import make_folder

MAX_BYTES = 2**20
MOST = 1000
"""The most steps that are remembered; the oldest are forgotten."""

Times = dict[str, float]
"""Seconds of a step by the way in which it is run."""


def times_path() -> Path:
    """Return the file's path.

    Raises:
        ZooError: there is no folder of caches.
    """
    return data_folder() / "step_times.json"


def machine_key(key: str) -> str:
    """Return a short text that is equal for equal steps on one machine, with equally many threads and one version."""
    machine = cpu_name(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return hashlib.sha256(json.dumps([key, *machine, torch.__version__, __version__]).encode()).hexdigest()[:32]


def recalled(key: str) -> Times:
    """Return what is remembered of a step, perhaps nothing."""
    found = _read().get(machine_key(key), {})
    return found if _is_times(found) else {}


def remember(key: str, times: Times) -> None:
    """Remember the times of a step."""
    kept = _read()
    kept.pop(machine_key(key), None)
    kept[machine_key(key)] = times
    with suppress(ZooError):
        make_folder(times_path().parent)
        write_atomically(times_path(), json.dumps(dict(list(kept.items())[-MOST:]), indent=1) + "\n")


def _read() -> dict[str, Times]:
    try:
        path = times_path()
        return parse_json(read_file(path, MAX_BYTES).decode(), str(path))
    except (ZooError, UnicodeDecodeError):
        return {}


def _is_times(found: object) -> bool:
    return isinstance(found, dict) and all(
        isinstance(seconds, float) and 0 < seconds < math.inf for seconds in found.values()
    )
