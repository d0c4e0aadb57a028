"""``zoo watch FOLDER``: the runs in progress, with their curves."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli._common import add_json
from zoo.cli._output import print_table, say, say_json
from zoo.system.files import user_path

if TYPE_CHECKING:
    from rich.table import Table

    from zoo.runs.unfinished import UnfinishedRun

SECONDS = 2.0
"""The time from one look to the next."""


CURVE_WIDTH = 24
"""The characters of a curve, where there is no more room."""

OTHER_COLUMNS = 76
"""The characters of a row besides the name and the curve."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "folder", nargs="?", type=user_path, default=Path("runs"), help="the folder of the runs (default: runs)"
    )
    parser.add_argument("--live", action="store_true", help="fill the screen, with curves as wide as there is room")
    parser.add_argument("--once", action="store_true", help="print them once, and stop")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Show the runs until Ctrl-C, or print them once where there is no terminal.

    Raises:
        ZooError: there is no such folder.
    """
    from rich.live import Live

    from zoo.runs.unfinished import unfinished_runs
    from zoo.system.terminal import PlainConsole

    runs = unfinished_runs(options.folder)
    console = PlainConsole()
    if options.json:
        say_json([summary(one) for one in runs])
    elif options.once or not console.is_terminal:
        if runs:
            print_table(table(runs))
        else:
            say(f"no run is in progress in {options.folder}")
    else:
        with Live(console=console, auto_refresh=False, screen=options.live) as live:
            while True:
                live.update(table(runs, console.width if options.live else 0), refresh=True)
                time.sleep(SECONDS)
                runs = unfinished_runs(options.folder)


def summary(one: UnfinishedRun) -> dict[str, object]:
    """Return what is known of a run, for programs."""
    last = {split: losses[-1] if (losses := one.losses(split)) else None for split in ("train", "test")}
    return {
        "run": one.name,
        "epoch": one.history[-1]["epoch"] if one.history else 0,
        "epochs": one.epochs,
        **last,
        "seconds_left": one.left,
        "seconds_since_epoch": round(one.silent, 1),
    }


def table(runs: list[UnfinishedRun], width: int = 0) -> Table:
    """Return a table of the runs; a curve is that of the test loss, from the first epoch to the last.

    Args:
        runs: the runs.
        width: the number of columns to fill; 0: as many as are needed.
    """
    from rich.table import Table

    from zoo.runs.unfinished import sparkline
    from zoo.system.terminal import plain

    shown = Table(title=plain(f"{len(runs)} unfinished run{'s' * (len(runs) != 1)}", "table.title"))
    shown.add_column("run")
    for name in ("epoch", "train loss", "test loss"):
        shown.add_column(name, justify="right")
    shown.add_column("test loss by epoch", no_wrap=True)
    for name in ("left", "last epoch"):
        shown.add_column(name, justify="right")
    names = max((len(plain(one.name)) for one in runs), default=0)
    room = max(CURVE_WIDTH, width - names - OTHER_COLUMNS)
    for one in runs:
        done, losses = one.history[-1]["epoch"] if one.history else 0, one.losses("test")
        train, test = (f"{values[-1]:.2f}" if values else "" for values in (one.losses("train"), losses))
        left = "" if one.left is None else spoken(one.left)
        epoch = f"{done}/{one.epochs}" if one.epochs else str(done)
        shown.add_row(plain(one.name), epoch, train, test, sparkline(losses, room), left, f"{spoken(one.silent)} ago")
    return shown


def spoken(seconds: float) -> str:
    """Write a time in the largest unit that is not below one: ``12 s``, ``3 min``, ``5 h``."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
