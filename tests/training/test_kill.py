"""A real process, killed with SIGKILL again and again at random moments, ends with the same bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from tests.helpers import CPU, PLUGIN, ROOT, tiny_fields, tiny_recipe, weights
from zoo.training.run import train

KILLS = 20

TRAINING = {"epochs": 250, "batch_size": 10}
OFTEN = {"checkpoint_minutes": 1e-4, "checkpoint_epochs": 1}
"""A checkpoint after every step that finds the one before it written: half the time one is being written."""

FORKING = """
# Forks a training process for each line of the standard input: the libraries are imported once, every run is real.
import json, os, sys
from pathlib import Path

import torch

import zoo.training.run as run
from zoo.cli._common import import_files
from zoo.schema import read_recipe

plugin, recipe, out = sys.argv[1:]
import_files([plugin])
for _ in sys.stdin:
    child = os.fork()
    if not child:
        os.setsid()
        torch.set_num_threads(1)
        sys.stdout = sys.stderr = open(out + ".log", "a")
        try:
            run.train(read_recipe(Path(recipe)), Path(out), torch.device("cpu"), resume=True)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""


def curve(folder: Path) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.slow
def test_a_run_killed_at_20_random_moments_ends_with_the_same_bytes(tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.json", tmp_path / "run"
    partial = tmp_path / "run.partial"
    recipe.write_text(json.dumps(tiny_fields(training=TRAINING, execution=OFTEN)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes to be killed: sums over other portions round differently
    try:
        whole = train(tiny_recipe(training=TRAINING), tmp_path / "whole", CPU)
    finally:
        torch.set_num_threads(threads)
    parent = subprocess.Popen(
        [sys.executable, "-c", FORKING, str(PLUGIN), str(recipe), str(out)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert parent.stdin and parent.stdout
    moments = random.Random(0)
    killed_while_writing = kills = 0
    while not (out / "config.json").exists():
        parent.stdin.write("\n")
        parent.stdin.flush()
        child = int(parent.stdout.readline())
        if kills < KILLS:
            deadline = time.monotonic() + 0.1 + 0.2 * moments.random()
            while time.monotonic() < deadline:
                time.sleep(0.001)
            if kills % 2:  # every second time, not before a file is being written
                while time.monotonic() < deadline + 5 and not list(partial.glob(".checkpoint*.tmp")):
                    pass
            killed_while_writing += bool(list(partial.glob(".checkpoint*.tmp")))
            with suppress(ProcessLookupError):  # it was done before
                os.kill(child, signal.SIGKILL)
                kills += 1
        status = int(parent.stdout.readline())
        assert status in (0, signal.SIGKILL), (tmp_path / "run.log").read_text()
    parent.stdin.close()
    parent.wait(timeout=30)

    assert kills == KILLS, "the run was over too soon to be killed often enough"
    assert killed_while_writing >= 3
    assert curve(out) == curve(whole)
    assert weights(out) == weights(whole)
    assert not partial.exists()
    assert not list(out.glob(".*"))
