"""Several runs on one device: on a GPU they take turns, each on its own stream; elsewhere one follows another."""

from __future__ import annotations

import gc
import json
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from zoo.errors import ZooError
from zoo.runs.unfinished import partial_folder
from zoo.schema.recipe import Recipe
from zoo.system.memory import OutOfMemory, explaining_memory
from zoo.system.process import training_modes
from zoo.training.epochs import Interrupted
from zoo.training.output_folder import has_checkpoint
from zoo.training.progress import Progress
from zoo.training.run import run, stop_signals
from zoo.training.stack import Stack, stack_size

MAX_CONCURRENT = 8
"""The most runs on one GPU at a time; prototypes were measured with no more."""

MEMORY_MARGIN = 1.2
"""The free memory that another run needs, as a multiple of the most that one has taken so far."""


@dataclass(frozen=True)
class Run:
    """A recipe, the run folder to write, and what to do if there is a run already."""

    recipe: Recipe
    out: Path
    resume: bool = False
    overwrite: bool = False
    log: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Lane:
    """One run, or several seeds that are trained as one model: what takes one of the places on a device."""

    runs: list[Run]
    stack: Stack | None = None

    def turns(self, item: Run, device: torch.device, progress: Progress, signals: list[int]) -> Iterator[None]:
        """Return the turns of one of the runs; see :func:`zoo.training.run.run`."""
        return run(
            item.recipe, item.out, device, progress, signals,
            resume=item.resume, overwrite=item.overwrite, stack=self.stack, log=item.log,
        )  # fmt: skip


def lanes(runs: Sequence[Run], device: torch.device, most: int = 0) -> Iterator[Lane]:
    """Yield the runs, those together that are to be trained as one model.

    Args:
        runs: the runs.
        device: the device to train on.
        most: the most runs at a time; 0 where there is no limit.
    """
    for recipe, seeds in by_recipe(runs):
        size = stack_size(recipe, len(seeds), device)
        stacks = -(-len(seeds) // min(size, most or size))
        for index in range(stacks):  # of sizes that differ by one at most
            part = seeds[index * len(seeds) // stacks : (index + 1) * len(seeds) // stacks]
            yield Lane(part, Stack([item.out for item in part]) if len(part) > 1 else None)


def by_recipe(runs: Sequence[Run]) -> Iterator[tuple[Recipe, list[Run]]]:
    """Yield the runs in groups that differ in their seeds only, each with the recipe of its first."""
    groups: dict[str, list[Run]] = {}
    for item in runs:
        fields = item.recipe.to_dict()
        key = json.dumps(fields | {"training": fields["training"] | {"seed": 0}}, sort_keys=True)
        groups.setdefault(key, []).append(item)
    for group in groups.values():
        yield group[0].recipe, group


class DeviceMemory:
    """Watches the memory of a device that several runs share."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.largest = 0
        """The most bytes that a run has taken to start."""
        self.measured: set[Path] = set()

    @contextmanager
    def measure_start(self, out: Path) -> Iterator[None]:
        """Measure the memory that the first turn of a run takes; every turn is wrapped in this context."""
        if self.device.type != "cuda" or out in self.measured:
            yield
            return
        before = self.free()
        yield
        self.measured.add(out)
        self.largest = max(self.largest, before - self.free())

    def free(self) -> int:
        """Return the free memory of the device in bytes."""
        return torch.cuda.mem_get_info(self.device)[0]

    def fits_another(self) -> bool:
        """Return whether one more run as large as the largest so far would fit."""
        return self.device.type != "cuda" or self.free() > MEMORY_MARGIN * self.largest

    def tidy(self) -> None:
        """Free the memory that an ended run has left."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def train_many(
    runs: Sequence[Run],
    device: torch.device,
    *,
    max_concurrent: int = 0,
) -> dict[Path, str]:
    """Train several recipes; one that fails does not stop the others.

    Args:
        runs: the recipes and their run folders.
        device: the device to train on.
        max_concurrent: the most runs at a time (0: what suits the device); runs that do not fit its memory wait.

    Returns:
        The folders of the runs that failed, each with the reason.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; every unfinished run has written a checkpoint.
    """
    waiting = deque(lanes(runs, device, max_concurrent))
    max_concurrent = max_concurrent or (MAX_CONCURRENT if device.type == "cuda" else 1)
    running: dict[Path, tuple[Run, Lane, Iterator[None]]] = {}
    failed: dict[Path, str] = {}
    stopped: list[str] = []
    memory = DeviceMemory(device)
    with training_modes(device), stop_signals() as signals, Progress(named=True) as progress:
        while running or (waiting and not signals):
            busy = len({lane for _, lane, _ in running.values()})
            if waiting and not signals and busy < max_concurrent and (not running or memory.fits_another()):
                lane = waiting.popleft()
                for item in lane.runs:
                    running[item.out] = item, lane, lane.turns(item, device, progress, signals)
            for out, (item, lane, turns) in list(running.items()):
                try:
                    with explaining_memory(), memory.measure_start(out):
                        next(turns)
                    continue
                except StopIteration:
                    progress.say(f"{out} is ready")
                except Interrupted as interrupt:
                    stopped.append(str(interrupt))
                except OutOfMemory as error:
                    if len(running) > 1:
                        max_concurrent = max(1, busy - 1)
                        progress.say(f"{out}: no room on the device beside the others; it waits for one to end")
                        again = replace(item, resume=item.resume or has_checkpoint(partial_folder(out)))
                        waiting.append(Lane([again]))
                    else:
                        failed[out] = str(error)
                except ZooError as error:
                    failed[out] = str(error)
                except Exception:  # a mistake in someone's variant must not cost the other runs
                    failed[out] = traceback.format_exc()
                if out in failed:
                    progress.say(f"error: {out}: {failed[out]}")
                if lane.stack:
                    lane.stack.leave(out)
                del running[out], turns
                memory.tidy()
    left = sum(len(lane.runs) for lane in waiting)
    if stopped or left:
        rest = [f"{left:,} more wait; the same command and --resume trains them"] if left else []
        raise Interrupted("\n".join([*stopped, *rest]))
    return failed
