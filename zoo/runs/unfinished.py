"""Runs that are not finished: what their folders tell while another process trains them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import ZooError
from zoo.runs.folder import CHECKPOINT_FILE, METRICS_FILE, read_history

PARTIAL = ".partial"
"""The end of the name of a folder that a run is being written into."""

MAX_HEADER_BYTES = 2**24
"""The most bytes that are read of a checkpoint."""

BLOCKS = "▁▂▃▄▅▆▇█"
"""The characters that a curve is drawn of, from the lowest to the highest."""


def finished_folder(run: Path) -> Path:
    """Return the folder that a run ends in, from that folder or from the ``.partial`` one; ``.`` has a name, too."""
    named = run if run.name else run.absolute()
    return named.with_name(named.name.removesuffix(PARTIAL)) if named.name else named


def partial_folder(out: Path) -> Path:
    """Return the folder that a run to ``out`` writes into until it is complete."""
    return out.parent / f"{out.name}{PARTIAL}"


@dataclass(frozen=True)
class UnfinishedRun:
    """A run in progress, or one that was stopped, as far as its folder tells."""

    name: str
    """The path of the run folder that it will be, below the folder that was searched."""
    history: Sequence[dict[str, Any]]
    """The rows of the epochs so far."""
    epochs: int | None
    """The number of epochs of the whole run, if its checkpoint tells."""
    seconds: float | None
    """The seconds that the epochs took, with the test images measured after each."""
    silent: float
    """The seconds since the end of the last epoch, or since the run began."""

    @property
    def left(self) -> float | None:
        """The seconds that the rest of the epochs will take, at the pace so far."""
        if not self.history or self.seconds is None or self.epochs is None:
            return None
        done: int = self.history[-1]["epoch"]
        return max(0, self.epochs - done) * self.seconds / done

    def losses(self, split: str) -> list[float]:
        """Return the loss of every epoch on a split."""
        return [row[split]["loss"] for row in self.history]


def unfinished_runs(folder: Path) -> list[UnfinishedRun]:
    """Return the unfinished runs in a folder and in its subfolders, by name.

    Raises:
        ZooError: there is no such folder.
    """
    if not folder.is_dir():
        raise ZooError(f"there is no folder {folder}; name the one that holds your runs, as in ./runs")
    found = [path for pattern in (f"*{PARTIAL}", f"*/*{PARTIAL}") for path in folder.glob(pattern) if path.is_dir()]
    return [read_unfinished(path, str(path.relative_to(folder)).removesuffix(PARTIAL)) for path in sorted(found)]


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Return a curve as a line of text, the lowest value at the bottom; of many values, the mean of each portion."""
    count = min(width, len(values))
    portions = [values[i * len(values) // count : (i + 1) * len(values) // count] for i in range(count)]
    means = [sum(portion) / len(portion) for portion in portions]
    low, span = min(means, default=0.0), max(means, default=0.0) - min(means, default=0.0)
    return "".join(BLOCKS[round((len(BLOCKS) - 1) * (mean - low) / span) if span else 0] for mean in means)


def read_unfinished(partial: Path, name: str) -> UnfinishedRun:
    """Read what there is of an unfinished run; what is missing or half written at this moment is left out."""
    log, checkpoint = partial / METRICS_FILE, partial / CHECKPOINT_FILE
    history: list[dict[str, Any]] = []
    seconds: Any = None
    try:
        if log.is_file():
            history = read_history(partial)
            seconds = json.loads(log.read_text().splitlines()[-1]).get("seconds")
    except (ZooError, OSError, ValueError):
        history = []
    try:
        since = (log if log.is_file() else partial).stat().st_mtime
    except OSError:  # finished in this moment
        since = time.time()
    whole = seconds if isinstance(seconds, int | float) and history else None
    return UnfinishedRun(name, history, _epochs(checkpoint), whole, max(0.0, time.time() - since))


def _epochs(checkpoint: Path) -> int | None:
    """Return the number of epochs in a checkpoint's recipe, from its header alone."""
    try:
        if not checkpoint.is_file():  # a pipe would never end
            return None
        with open(checkpoint, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if size <= MAX_HEADER_BYTES else {}
        state = json.loads(header["__metadata__"]["state"])
        epochs: Any = _inner(_inner(_inner(state, "recipe"), "training"), "epochs")
        return epochs if type(epochs) is int and epochs > 0 else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _inner(fields: Any, name: str) -> Any:
    """Return a field of a dict as checkpoints write it: a list of pairs."""
    return dict(fields["__items__"])[name]
