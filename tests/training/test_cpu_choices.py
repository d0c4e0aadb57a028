"""What is chosen by measuring on a CPU: once a machine, kept in the checkpoint, with the bits of what was chosen."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import tiny_recipe, tiny_recipe_of, trainer
from zoo.training import execution, layout_choice, machine_times
from zoo.training.machine_times import recalled, remember, times_path
from zoo.training.state import copied
from zoo.training.trainer import Trainer


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setattr(execution, "LEAST_STEPS", 1)
    monkeypatch.setattr(layout_choice, "LEAST_STEPS", 1)
    monkeypatch.setattr(execution, "cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(torch, "compile", lambda function, **settings: function)
    monkeypatch.setattr(execution, "compile_options", lambda cuda: None)


def never(*arguments: Any, **options: Any) -> Any:
    raise AssertionError("measured again")


def layout_of(found: Trainer) -> bool:
    weights = [weight for weight in found.model.parameters() if weight.dim() == 4 and weight.shape[1] > 1]
    (alike,) = {weight.is_contiguous(memory_format=torch.channels_last) for weight in weights}
    return alike


def finished(found: Trainer) -> list[torch.Tensor]:
    while not found.done:
        found.run_epoch()
    return list(found.model.state_dict().values())


COMPILE = torch.compile


@pytest.mark.parametrize(
    ("seconds", "compiles", "traced"),
    [
        ((30.0, 20.0), True, False),
        ((30.0, 31.0), False, False),
        pytest.param((30.0, 20.0), True, True, marks=pytest.mark.slow),
    ],
)
def test_the_faster_step_is_taken_and_remembered(
    seconds: tuple[float, float], compiles: bool, traced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if traced:
        monkeypatch.setattr(torch, "compile", partial(COMPILE, backend="aot_eager"))
    monkeypatch.setattr(execution, "seconds_per_step", lambda runner: runner.run(1, runner.batch_size) or seconds[0])
    monkeypatch.setattr(execution, "least_seconds", lambda runners: list(seconds))
    first, state = trainer(tiny_recipe()), torch.get_rng_state()
    first.prepare()
    assert first.was_compiled == compiles
    assert recalled(first.compile_key) == {"written": seconds[0], "compiled": seconds[1]}
    monkeypatch.setattr(execution, "least_seconds", never)
    second = trainer(tiny_recipe())
    second.prepare()
    assert second.was_compiled == compiles
    asked_for = finished(trainer(tiny_recipe(execution={"compile": "on" if compiles else "off"})))
    assert all(map(torch.equal, finished(first), asked_for))
    assert all(map(torch.equal, finished(second), asked_for))
    assert torch.equal(torch.get_rng_state(), state)  # a trial draws as little from the generators of others


def test_convolutions_are_laid_out_as_is_faster_and_go_on_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """With channels last at first; a checkpoint counts for more than what is measured later."""
    seconds = [1.0, 0.9] * 4
    monkeypatch.setattr(layout_choice, "least_seconds", lambda runners, **options: [seconds.pop(0)])
    recipe = tiny_recipe_of("conv_vae")
    first = trainer(recipe)
    before = [value.clone() for value in first.model.state_dict().values()]
    assert first.prepare() == "step by step, convolutions with channels_last images"
    assert not seconds and layout_of(first)
    assert all(map(torch.equal, before, first.model.state_dict().values()))
    remember(first.compile_key, {"contiguous": 1.0, "channels_last": 2.0})
    monkeypatch.setattr(layout_choice, "least_seconds", never)
    resumed, other = trainer(recipe), trainer(recipe)
    resumed.restore(as_in_a_checkpoint(first))
    resumed.prepare()
    other.prepare()
    assert layout_of(resumed) and not layout_of(other)
    assert all(map(torch.equal, finished(first), finished(resumed)))


def as_in_a_checkpoint(found: Trainer) -> dict[str, Any]:
    """Return a trainer's state as a checkpoint holds it."""
    return copied(found.state())


def test_a_run_that_had_no_choice_when_it_began_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout_choice, "least_seconds", never)
    old = trainer(tiny_recipe_of("conv_vae", execution={"convolutions": "auto"}))
    old.step = 1
    assert old.prepare() == "step by step"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b'{"KEY": 3}', b'{"KEY": {"written": "1"}}', b'{"KEY": {"written": -1.0}}']
)
def test_a_file_of_another_kind_is_as_good_as_none(content: bytes) -> None:
    times_path().write_bytes(content.replace(b"KEY", machine_times.machine_key("a").encode()))
    assert recalled("a") == {}
    remember("a", {"written": 1.0})
    assert recalled("a") == {"written": 1.0}
    assert recalled("b") == {}


def test_a_folder_that_cannot_be_written_forgets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "file"))
    remember("a", {"written": 1.0})
    assert recalled("a") == {}


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_times, "MOST", 2)
    for key in "abc":
        remember(key, {"written": 1.0})
    assert [bool(recalled(key)) for key in "abc"] == [False, True, True]
    assert len(json.loads(times_path().read_text())) == 2
