"""Stages of a day: each in a process of its own with a limit, recorded as it ends, and all of them within a budget.

Needs the standard library only, so that it runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEAST = 10.0
"""The seconds that must be left for a stage to be started."""

RESERVE = 5.0
"""The seconds of the budget that no stage gets: for the table, and for processes that are slow to end."""

RECORD = "stages.jsonl"


@dataclass(frozen=True)
class Stage:
    """A command and the seconds that it gets; what it prints goes to ``NAME.log``."""

    name: str
    seconds: float
    command: Sequence[str]
    lines: int = 12
    """The number of its last lines that the table shows."""
    grace: float = 5.0
    """The seconds from the interrupt that asks it to end, at which a run writes its checkpoint, to its end; they are
    part of its seconds."""

    @property
    def log(self) -> str:
        """The name of the file of what it prints."""
        return self.name.replace(" ", "_") + ".log"


def heed_interrupts() -> None:
    """Take SIGINT again in a new process: what ``nohup`` or ``&`` has started ignores it, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Running:
    """A stage that has been started, in a process group of its own."""

    def __init__(self, stage: Stage, seconds: float, out: Path, environment: Mapping[str, str], root: Path) -> None:
        self.stage, self.log = stage, out / stage.log
        self.started = time.monotonic()
        self.ends = [  # when it is sent which signal
            (self.started + max(seconds - stage.grace, seconds / 2), signal.SIGINT),
            (self.started + seconds, signal.SIGKILL),
        ]
        self.stopped = False
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                stage.command, cwd=root, env=dict(environment), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=heed_interrupts,
            )  # fmt: skip

    def over(self) -> bool:
        """Return whether the process has ended; send it the signal that is due."""
        if self.process.poll() is not None:
            self._send(signal.SIGKILL)  # to what it has left behind
            return True
        if self.ends and time.monotonic() >= self.ends[0][0]:
            self.stopped = True
            self._send(self.ends.pop(0)[1])
        return False

    def _send(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def record(self) -> dict[str, Any]:
        """Return how it ended."""
        code = self.process.returncode
        state = "stopped" if self.stopped else "ok" if code == 0 else f"failed ({code})"
        seconds = round(time.monotonic() - self.started, 1)
        return {"stage": self.stage.name, "state": state, "seconds": seconds, "log": self.log.name}


def run_stages(
    groups: Sequence[Sequence[Stage]], budget: float, out: Path, environment: Mapping[str, str], root: Path
) -> list[dict[str, Any]]:
    """Run groups of stages one after another, the stages of a group side by side; print the table.

    Args:
        groups: the stages in order of their value: what comes last may get no time.
        budget: the seconds of all of them together.
        out: the folder of everything that is found.
        environment: the environment of the processes.
        root: the folder that they run in.

    Returns:
        The record of each stage, as ``stages.jsonl`` has it.
    """
    out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + budget - RESERVE
    records = []
    for group in groups:
        for record in run_group(group, deadline, out, environment, root):
            append(out / RECORD, record)
            print(f"{record['stage']}: {record['state']}, {record['seconds']} s", flush=True)
            records.append(record)
    stages = [stage for group in groups for stage in group]
    print("\n".join(table(stages, records, out)), flush=True)
    return records


def run_group(
    group: Sequence[Stage], deadline: float, out: Path, environment: Mapping[str, str], root: Path
) -> Iterator[dict[str, Any]]:
    """Run stages side by side, and yield the record of each as soon as it has ended."""
    left = deadline - time.monotonic()
    if left < LEAST:
        yield from ({"stage": stage.name, "state": "no time left", "seconds": 0.0, "log": ""} for stage in group)
        return
    running = []
    for stage in group:
        try:
            running.append(Running(stage, min(stage.seconds, left), out, environment, root))
        except OSError as error:
            yield {"stage": stage.name, "state": f"not started ({error})", "seconds": 0.0, "log": ""}
    while running:
        for item in list(running):
            if item.over():
                running.remove(item)
                yield item.record()
        time.sleep(0.05)


def table(stages: Sequence[Stage], records: Sequence[dict[str, Any]], out: Path) -> Iterator[str]:
    """Yield a line for each stage, and below it the last lines that it printed."""
    lines = {stage.name: stage.lines for stage in stages}
    width = max(len(stage.name) for stage in stages)
    yield f"\n{'stage':{width}}  {'state':14} seconds"
    for record in records:
        yield f"{record['stage']:{width}}  {record['state']:14} {record['seconds']:7.1f}"
        if record["log"]:
            text = (out / record["log"]).read_text(encoding="utf-8", errors="replace")
            printed = [line.rstrip()[:180] for line in text.splitlines() if line.strip()]
            yield from (f"    {line}" for line in printed[-lines[record["stage"]] :])


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add a record to a file of JSON lines, in one write and onto the disk, so that no line is there in part."""
    with open(path, "ab", buffering=0) as file:
        file.write((json.dumps(record) + "\n").encode())
        os.fsync(file.fileno())


def records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file of JSON lines; none where there is no file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def python(*words: object) -> list[str]:
    """Return the command that runs this interpreter."""
    return [sys.executable, *map(str, words)]
