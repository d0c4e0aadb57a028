"""What a change brings: this checkout against another, ``python -m tests.benchmarks.day.turns --against FOLDER``.

Every entry is trained compiled and captured only, by both: each contender in a process of its own. They prepare side by
side and are timed one at a time, in turns, so that whatever else the machine does meets all alike. Each turn is a line
of ``ab.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue
from statistics import median
from threading import Thread
from typing import Any

from tests.benchmarks.day.runner import append, python, records
from tests.benchmarks.experiments import Variation

ROOT = Path(__file__).resolve().parents[3]
LAP = Path(__file__).with_name("lap.py")
FILE = "ab.jsonl"
ENTRIES = ("linear_vae_mnist", "conv_vae_mnist")


class Broken(Exception):
    """A contender has ended or does not answer; the others go on."""


class Contender:
    """A process that trains when it is asked to."""

    def __init__(self, name: dict[str, str], root: Path, overrides: Sequence[str], device: str) -> None:
        self.name = name
        sets = [word for override in overrides for word in ("--set", override)]
        command = python(LAP, "--root", root, "--entry", name["entry"], "--device", device, *sets)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answers: Queue[str] = Queue()
        Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")  # the end

    def answer(self, seconds: float) -> dict[str, Any]:
        """Return its next answer.

        Raises:
            Broken: there is none within these seconds.
        """
        try:
            line = self.answers.get(timeout=max(seconds, 0.01))
        except Empty:
            raise Broken(f"no answer in {seconds:.0f} s") from None
        if not line:
            raise Broken("its process has ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def take_turn(self, seconds: float) -> dict[str, Any]:
        """Have it train, and return the times.

        Raises:
            Broken: as :meth:`answer`.
        """
        assert self.process.stdin
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except OSError:
            raise Broken("its process has ended") from None
        return self.answer(seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Start all, wait for those that get ready, time them in turns."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day.turns")
    parser.add_argument("--against", type=Path, required=True, help="the folder of the other checkout")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--entries", nargs="*", default=ENTRIES)
    parser.add_argument("--compile", nargs="*", default=["on", "off"], choices=["on", "off"])
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--ready", type=float, default=60, help="the seconds to get ready in")
    parser.add_argument("--turn", type=float, default=20, help="the seconds that a turn may take")
    options = parser.parse_args(arguments)
    file = options.out / FILE
    roots = {"before": options.against.resolve(), "now": ROOT}
    contenders = [
        Contender({"entry": entry, "compile": compiled, "checkout": label}, root,
                  [*options.overrides, f"execution.compile={compiled}"], options.device)
        for entry in options.entries for compiled in options.compile for label, root in roots.items()
    ]  # fmt: skip
    try:
        ready_by = time.monotonic() + options.ready
        racing = [c for c in contenders if noted(file, c, lambda c: c.answer(ready_by - time.monotonic()))]
        for turn in range(options.turns):
            racing = [c for c in racing if noted(file, c, lambda c: c.take_turn(options.turn) | {"turn": turn})]  # noqa: B023
    finally:
        for contender in contenders:
            contender.process.kill()
    for found in variations(file):
        print(
            f"{found.entry}, {found.changes}: {found.training_ms:.1f} ms training, {found.end_ms:.1f} end, "
            f"{found.epoch_ms:.1f} a whole epoch, {found.step_us:.0f} us a step"
        )
    if len(racing) < len(contenders):
        raise SystemExit(f"{len(contenders) - len(racing)} of {len(contenders)} broke")


def noted(file: Path, contender: Contender, ask: Any) -> bool:
    """Ask a contender, write down what it says, and return whether it can go on."""
    try:
        append(file, contender.name | ask(contender))
        return True
    except Broken as error:
        append(file, contender.name | {"error": str(error)})
        print(f"{contender.name}: {error}")
        contender.process.kill()
        return False


def variations(file: Path) -> list[Variation]:
    """Return the medians of every contender's turns."""
    turns: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in records(file):
        if "turn" in record:
            words = "compiled" if record["compile"] == "on" else "not compiled"
            turns.setdefault((record["entry"], f"{words}, {record['checkout']}"), []).append(record)
    fields = ("training_ms", "end_ms", "epoch_ms", "step_us", "test_loss")
    return [
        Variation(entry=entry, changes=changes, **{field: median(turn[field] for turn in found) for field in fields})
        for (entry, changes), found in turns.items()
    ]


if __name__ == "__main__":
    main()
