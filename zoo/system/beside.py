"""A process beside this one, forked before this one imports torch: each imports what it needs at the same time."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


class Beside:
    """A process that does one piece of work, and ends with it or with this process, however that ends.

    Args:
        prepare: what it does first, at once.
        work: a function of what :meth:`send` is given that returns what :meth:`receive` returns.
    """

    def __init__(self, prepare: Callable[[], object], work: Callable[[Any], Any]) -> None:
        import multiprocessing  # here, because most commands start no process

        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(self.connection, theirs, prepare, work), daemon=True)
        handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which ends it from its first moment on
        try:
            self.process.start()
        finally:
            signal.signal(signal.SIGTERM, handler)
        theirs.close()

    def send(self, argument: object) -> None:
        """Let the work begin.

        Raises:
            OSError: the process has ended.
        """
        self.connection.send(argument)

    def receive(self) -> Any:
        """Wait for the work, and return its result; the process ends.

        Raises:
            EOFError: the work has failed.
            OSError: the process has ended.
        """
        try:
            return self.connection.recv()
        finally:
            self.connection.close()
            self.process.join()

    def cpu_seconds(self) -> float:
        """Return the time for which the process has kept cores busy; 0 where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return 0.0


def _work(ours: Connection, theirs: Connection, prepare: Callable[[], object], work: Callable[[Any], Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; this process ends with the other
    ours.close()  # else the end of the other process would not close the connection
    try:
        prepare()
        theirs.send(work(theirs.recv()))
    except Exception:
        theirs.close()  # says that it has failed; the process that waits finds out why when it does the work itself


_started: list[Beside] = []


def start(prepare: Callable[[], object], work: Callable[[Any], Any]) -> None:
    """Start a process for :func:`taken`, on Linux. This has no effect once torch is imported or threads run."""
    if sys.platform == "linux" and "torch" not in sys.modules and threading.active_count() == 1 and not _started:
        _started.append(Beside(prepare, work))


def taken() -> Beside | None:
    """Return the process that was started, for one piece of work; None where there is none, or it is taken."""
    return _started.pop() if _started else None


def cpu_seconds() -> float:
    """Return the time for which the process that was started, and is not taken yet, has kept cores busy."""
    return sum(beside.cpu_seconds() for beside in _started)
