"""The cores that this process may use, how many of them are free, and the number of threads that suits them.

What is free is read from ``/proc/stat``, on Linux; elsewhere every core counts as free.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.system import beside
from zoo.system.control_groups import MEMBERSHIP, ROOT, own_groups

SHORTEST, LONGEST = 0.2, 10.0
"""The seconds that must lie between two looks at the cores, and may: counters are steps of 10 ms, and what was busy
long ago says nothing."""


def allowed_cores() -> float:
    """Return the number of cores that affinity and the process's control groups allow."""
    return min([len(_affinity()), *_quotas(MEMBERSHIP, ROOT)])


def _affinity() -> set[int]:
    if sys.platform == "linux":
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _quotas(membership: Path, root: Path) -> Iterator[float]:
    """Yield the limits of a process's control groups, versions 1 and 2, in cores."""
    for version, folder in own_groups("cpu", membership, root):
        try:
            if version == 1:
                quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            else:
                quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max" and int(quota) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError):
            continue


@dataclass(frozen=True)
class Look:
    """The counters of the cores at one time, in seconds."""

    at: float
    idle: float
    """The time for which the cores that the process may use have been idle, summed over them."""
    own: float
    """The time for which this process, and the one beside it, have kept cores busy."""

    @staticmethod
    def now(stat: Path = Path("/proc/stat")) -> Look | None:
        """Read the counters; None where the system does not tell."""
        try:
            names = {f"cpu{core}" for core in _affinity()}
            columns = [line.split() for line in stat.read_text().splitlines() if line.split(" ", 1)[0] in names]
            ticks = sum(int(idle) + int(waiting) for _, _, _, _, idle, waiting, *_ in columns)
            own = time.process_time() + beside.cpu_seconds()
            return Look(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), own) if columns else None
        except (OSError, ValueError, AttributeError):
            return None

    def free_until(self, later: Look) -> float:
        """Return how many cores were idle or this process's own, on average, until a later look."""
        return (later.idle - self.idle + later.own - self.own) / (later.at - self.at)


class Watch:
    """Tells how many cores are free, from the counters since the last time it was asked."""

    def __init__(self) -> None:
        self.last = Look.now()
        self.found: float | None = None

    def free(self) -> float:
        """Return the number of cores that other processes leave free, between 0 and :func:`allowed_cores`."""
        allowed = allowed_cores()
        if self.last is None:
            return allowed
        age = time.monotonic() - self.last.at
        if age < SHORTEST and self.found is not None:
            return self.found
        if age > LONGEST:
            self.last, age = Look.now() or self.last, 0.0
        time.sleep(max(0.0, SHORTEST - age))
        now = Look.now() or self.last
        self.found = min(max(self.last.free_until(now), 0.0), allowed) if now is not self.last else allowed
        self.last = now
        return self.found


WATCH = Watch()
"""The watch of this process, which begins when the command starts."""


@dataclass(frozen=True)
class Threads:
    """A number of threads, and the reason for it."""

    number: int
    reason: str = ""

    def __str__(self) -> str:
        words = f"{self.number} thread{'s' if self.number > 1 else ''}"
        return f"{words} ({self.reason})" if self.reason else words


def choose_threads(wanted: int | Literal["auto"], most: int) -> Threads:
    """Return the number of threads to compute with.

    Args:
        wanted: the number, or ``"auto"`` for as many as there are free cores.
        most: the most threads that ``"auto"`` takes; as many where ``OMP_NUM_THREADS`` is set.
    """
    if wanted != "auto":
        return Threads(wanted)
    if "OMP_NUM_THREADS" in os.environ or most == 1:
        return Threads(most)
    free = WATCH.free()
    number = max(1, min(most, math.floor(free + 0.5)))
    return Threads(number, f"{free:.1f} of {allowed_cores():.3g} cores are free" if number < most else "")


def wait_passively_if_busy() -> None:
    """Let threads that wait for others sleep where not every core is free. This has no effect once torch is imported.

    A thread that waits keeps its core by default, for what it waits for usually comes at once; beside other work that
    keeps the very thread from running that it waits for. A user's own ``OMP_WAIT_POLICY`` wins.
    """
    if "torch" not in sys.modules and WATCH.free() < allowed_cores() - 0.5:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
