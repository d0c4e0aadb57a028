"""What the choice of threads is worth beside other work: ``python -m tests.benchmarks.busy_cpu``.

Trains with torch's own threads, with threads that wait passively, with one thread, and with ``execution.threads`` left
to itself, in turns; first on the machine as it is, which must be quiet, then beside a process that keeps one core busy.
Writes the table in ``docs/performance.md``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from zoo.cli._common import find_recipe
from zoo.system.cores import allowed_cores
from zoo.system.files import replace_between, write_atomically

ENTRIES = ("linear_vae_mnist", "conv_vae_mnist")
CORES = int(allowed_cores())
WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "torch's own threads": (str(CORES), {}),
    "the same, waiting passively": (str(CORES), {"OMP_WAIT_POLICY": "passive"}),
    "one thread": ("1", {}),
    "`auto`": ("auto", {}),
}
"""The ways to train, each with ``execution.threads`` and the environment."""


class Worker:
    """A process that trains for a while when it is told to."""

    def __init__(self, entry: str, threads: str, environment: dict[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")}
        command = [sys.executable, "-m", "tests.benchmarks.busy_cpu", "--worker", entry, threads]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=kept | environment, stdin=pipe, stdout=pipe, text=True)
        self.threads = self._line()
        """The words of the run's first line about its threads."""

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def images_per_second(self, seconds: float) -> float:
        """Train for so many seconds."""
        print(seconds, file=self.process.stdin, flush=True)
        return float(self._line())

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def work(entry: str, threads: str) -> None:
    """Train an entry for as many seconds as each line of the input says, and print the images per second."""
    import torch

    from zoo.datasets import load_images
    from zoo.training.trainer import Trainer

    recipe = find_recipe(entry, [f"execution.threads={threads}"])
    images = load_images(recipe.data, "train"), load_images(recipe.data, "test")
    trainer = Trainer(recipe, *images, torch.device("cpu"))
    trainer.prepare()
    print(trainer.context.threads, flush=True)
    portions: Iterator[int] = iter(())
    for line in sys.stdin:
        started, trained = time.perf_counter(), 0
        while time.perf_counter() - started < float(line):
            images_of_portion = next(portions, None)
            if images_of_portion is None:
                portions = trainer.train_steps()
            trained += images_of_portion or 0
        print(trained / (time.perf_counter() - started), flush=True)


@contextmanager
def busy_cores(number: int) -> Iterator[None]:
    """Keep so many cores busy."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def rows(entry: str, turns: int, seconds: float) -> Iterator[str]:
    """Yield the lines of the table about one entry."""
    for busy in (0, 1):
        with busy_cores(busy), ExitStack() as stack:
            workers = {name: stack.enter_context(Worker(entry, *way)) for name, way in WAYS.items()}
            speeds: dict[str, list[float]] = {name: [] for name in workers}
            for turn in range(turns + 1):
                for name, worker in workers.items():
                    speed = worker.images_per_second(seconds)
                    if turn:
                        speeds[name].append(speed)
            best = max(map(statistics.median, (values for name, values in speeds.items() if name != "`auto`")))
            for name, values in speeds.items():
                middle = statistics.median(values)
                spread = f"{min(values):,.0f} – {max(values):,.0f}"
                yield (
                    f"| {entry} | {'one busy core' if busy else 'quiet'} | {name} | {workers[name].threads} "
                    f"| {middle:,.0f} | {spread} | {middle / best:.2f} |"
                )


def main() -> None:
    """Measure and write the table, or be a worker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entry", action="append", help="an entry to train (default: all that the table has)")
    parser.add_argument("--turns", type=int, default=7, help="turns of each way (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of each turn (default: %(default)s)")
    parser.add_argument("--out", help="write the table to this file instead")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    lines = ["| recipe | machine | threads | chosen | images/s | lowest – highest | of the best without `auto` |"]
    lines.append("|---|---|---|---|--:|--:|--:|")
    for entry in options.entry or ENTRIES:
        lines += rows(entry, options.turns, options.seconds)
    table = "\n".join(lines)
    print(table)
    if options.out:
        write_atomically(Path(options.out), table + "\n")
    elif not options.entry:
        from tests.helpers import ROOT

        page = ROOT / "docs" / "performance.md"
        write_atomically(page, replace_between(page.read_text(), "busy", table))


if __name__ == "__main__":
    main()
