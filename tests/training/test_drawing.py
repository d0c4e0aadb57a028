"""Drawing beside the measuring: where that fails the figures are drawn here, and no run is lost for a figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import CPU, python, tiny_fields, tiny_recipe
from zoo.plotting import sample_grid, to_png
from zoo.plotting.files import drawn
from zoo.runs.folder import LOSS_CURVES_FILE, RECONSTRUCTIONS_FILE, SAMPLES_FILE
from zoo.schema.recipe import parse_recipe
from zoo.system import beside
from zoo.training import drawing as module
from zoo.training import train
from zoo.training.drawing import drawing

FIGURES = {"samples.png": ("sample_grid", np.linspace(-0.5, 1.5, 4 * 784, dtype=np.float32).reshape(4, 1, 28, 28))}


class Stub:
    """A process that ends when it is told to, in place of one that is forked."""

    def __init__(self, fails: str) -> None:
        self.fails = fails
        self.sent: Any = None

    def send(self, argument: object) -> None:
        if self.fails == "send":
            raise BrokenPipeError
        self.sent = argument

    def receive(self) -> dict[str, bytes]:
        if self.fails == "receive":
            raise EOFError
        return {name: b"drawn there" for name in self.sent}


@pytest.mark.parametrize("fails", ["", "send", "receive"])
def test_what_a_process_does_not_draw_is_drawn_here(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_started", [Stub(fails)])
    monkeypatch.setattr(module, "drawn_here", lambda figures: {name: b"drawn here" for name in figures})
    assert drawing(FIGURES)() == {"samples.png": b"drawn here" if fails else b"drawn there"}


def test_a_run_is_not_lost_for_a_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(figures: object) -> dict[str, bytes]:
        raise ValueError("no font\nat all")

    monkeypatch.setattr(module, "drawn_here", broken)
    with pytest.warns(UserWarning, match=r"figures cannot be drawn \(ValueError: no font\); zoo figures draws them"):
        out = train(tiny_recipe(), tmp_path / "run", CPU)
    assert (out / "config.json").exists() and not list(out.glob("*.png"))
    assert ".png" not in (out / "README.md").read_text()


@pytest.mark.slow
def test_a_command_draws_the_same_figures_in_a_process_without_torch(tmp_path: Path, real_figures: None) -> None:
    fields = tiny_fields(data={"name": "glyphs", "train_images": 100, "test_images": 60})
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(fields))
    code = (
        "import sys\n"
        "from zoo.cli.app import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "assert 'torch' in sys.modules and ('matplotlib.figure' in sys.modules) == (sys.platform != 'linux')"
    )
    done = python("-c", code, "train", recipe, "--out", tmp_path / "run", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    here = train(parse_recipe(fields), tmp_path / "here", CPU)
    for name in (LOSS_CURVES_FILE, RECONSTRUCTIONS_FILE, SAMPLES_FILE):
        assert (tmp_path / "run" / name).read_bytes() == (here / name).read_bytes()


def test_images_are_drawn_alike_as_arrays_and_as_tensors() -> None:
    (_, images), *_ = FIGURES.values()
    assert drawn(FIGURES)["samples.png"] == to_png(sample_grid(torch.from_numpy(images)))
