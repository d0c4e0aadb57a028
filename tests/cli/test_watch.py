"""``zoo watch``: what is said of runs in progress, of stopped and of broken ones."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from tests.helpers import command, tiny_recipe, trainer
from zoo.cli import watch
from zoo.runs.unfinished import BLOCKS, sparkline, unfinished_runs
from zoo.training.checkpoint import write_checkpoint


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A run after three of its ten epochs, one that has just begun, in a subfolder, and one that is broken."""
    folder = tmp_path / "runs"
    for name in ("mine", "deeper/begun", "bro[b]ken\n"):
        (folder / f"{name}.partial").mkdir(parents=True)
    run = trainer(tiny_recipe(training={"epochs": 10, "batch_size": 50}))
    write_checkpoint(folder / "mine.partial" / "checkpoint.safetensors", run.state())
    rows = [
        {"epoch": epoch, "train": {"loss": 9.0 - epoch}, "test": {"loss": 10.0 - epoch}, "seconds": 20.0 * epoch}
        for epoch in (1, 2, 3)
    ]
    (folder / "mine.partial" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "bro[b]ken\n.partial" / "metrics.jsonl").write_text('{"epoch": 1, "train"')
    (folder / "bro[b]ken\n.partial" / "checkpoint.safetensors").write_bytes(b"\xff" * 20)
    (folder / "finished").mkdir()
    return folder


def test_runs_in_progress_are_shown_once(runs: Path) -> None:
    done = command("watch", runs, "--once")
    assert done.returncode == 0, done.stderr
    assert "3 unfinished runs" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if " mine " in line)
    for cell in ("3/10", "6.00", "7.00", BLOCKS[-1], "2 min", "ago"):
        assert cell in line
    assert r"bro[b]ken\n" in done.stdout and "│ finished" not in done.stdout
    assert command("watch", runs).stdout.count("unfinished") == 1  # no terminal: once


def test_runs_in_progress_as_json(runs: Path) -> None:
    shown = {row["run"]: row for row in json.loads(command("watch", runs, "--json").stdout)}
    assert shown.keys() == {"mine", os.path.join("deeper", "begun"), "bro[b]ken\n"}
    mine = shown["mine"]
    assert (mine["epoch"], mine["epochs"], mine["train"], mine["test"], mine["seconds_left"]) == (3, 10, 6, 7, 140)
    assert shown["bro[b]ken\n"]["epochs"] is None and shown["bro[b]ken\n"]["test"] is None


def test_where_there_is_nothing_to_watch(tmp_path: Path) -> None:
    assert command("watch", tmp_path).stdout == f"no run is in progress in {tmp_path}\n"
    done = command("watch", tmp_path / "none")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"there is no folder {tmp_path / 'none'}" in done.stderr
    assert unfinished_runs(tmp_path) == []


def test_a_curve_is_drawn_from_its_lowest_to_its_highest_value() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == BLOCKS
    assert sparkline([3.0, 3.0]) == BLOCKS[0] * 2
    assert sparkline([]) == ""
    assert sparkline([0.0, 0.0, 7.0, 7.0], width=2) == BLOCKS[0] + BLOCKS[-1]


def test_the_screen_is_filled_with_curves_until_it_is_given_back(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"epoch": n, "train": {"loss": 9.0}, "test": {"loss": 100.0 - n}, "seconds": 1.0 * n} for n in range(1, 200)
    ]
    (runs / "mine.partial" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    screen = io.StringIO()

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", interrupt)
    monkeypatch.setattr(
        "zoo.system.terminal.PlainConsole",
        lambda: Console(
            file=screen, force_terminal=True, width=160, height=40, legacy_windows=False, color_system=None
        ),
    )
    assert command("watch", runs, "--live", TERM="xterm").returncode == 130
    shown, enter, leave = screen.getvalue(), "\x1b[?1049h", "\x1b[?1049l"
    assert shown.index(enter) < shown.index(BLOCKS[-1]) < shown.index(leave)
    (line,) = (line for line in shown.splitlines() if " mine " in line)
    assert sum(line.count(block) for block in BLOCKS) > 60
    assert "ago" in line and "199" in line
