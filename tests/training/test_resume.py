"""A run that is stopped at any step and resumed ends with the same bits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import (
    CPU,
    PLUGIN,
    ROOT,
    SHIPPED_VARIANTS,
    SLOW_VARIANTS,
    command,
    slow_but_for,
    tiny_fields,
    tiny_recipe,
    tiny_recipe_of,
    trainer,
    usual_objective,
    weights,
)
from zoo.errors import ZooError
from zoo.registry import OBJECTIVES
from zoo.runs.folder import read_config, read_history
from zoo.schema.recipe import Recipe
from zoo.system.process import threads_put_back
from zoo.training import trainer as trainer_module
from zoo.training.checkpoint import read_checkpoint, write_checkpoint
from zoo.training.divergence import Divergence
from zoo.training.epochs import Interrupted
from zoo.training.output_folder import lock_path
from zoo.training.resumed_device import device_to_resume
from zoo.training.run import train
from zoo.training.trainer import Trainer

LINEAR = {"name": "linear", "epochs": 2}


def annealed(variant: str) -> Recipe:
    """A recipe whose noise, images, learning rate and (where there is one) beta change from step to step."""
    objective = usual_objective(variant)
    if "annealing" in OBJECTIVES.get(objective["name"]).config.model_fields:
        objective["annealing"] = LINEAR
    return tiny_recipe_of(
        variant,
        objective=objective,
        data={"name": "tiny", "binarization": "dynamic"},
        optimizer={"name": "adam", "schedule": {"name": "cosine"}},
        training={"epochs": 3, "batch_size": 50},
    )


@pytest.fixture(scope="module")
def uninterrupted() -> Callable[[str], Trainer]:
    """Trains a variant from the first step to the last, once for all tests."""

    @cache
    def train_whole(variant: str) -> Trainer:
        whole = trainer(annealed(variant))
        while not whole.done:
            whole.run_epoch()
        return whole

    return train_whole


def test_the_seconds_of_a_run_hold_its_preparation_and_go_on_when_it_is_resumed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("zoo.training.trainer.time.perf_counter", lambda: now)
    first = trainer(tiny_recipe())
    choose = trainer_module.choose_runner

    def slow(*arguments: Any) -> Any:
        nonlocal now
        now += 20
        return choose(*arguments)

    monkeypatch.setattr(trainer_module, "choose_runner", slow)
    first.prepare()
    now += 5
    assert first.wall_seconds == 25
    state = first.state()
    now += 3600  # nothing runs
    second = trainer(tiny_recipe())
    second.restore(state)
    second.prepare()
    assert second.wall_seconds == 45
    del state["wall_seconds"]  # a checkpoint of an older version
    state["seconds"] = 7.0
    second.restore(state)
    assert second.wall_seconds == 7


@pytest.mark.parametrize(
    ("variant", "stop_at"),
    [
        slow_but_for(variant not in SLOW_VARIANTS or stop_at == 7, variant, stop_at)  # 7: within the second epoch
        for variant in SHIPPED_VARIANTS
        for stop_at in (1, 5, 7, 11)
    ],
)
def test_a_run_stopped_at_any_step_and_resumed_has_the_same_bits(
    variant: str, stop_at: int, tmp_path: Path, uninterrupted: Callable[[str], Trainer]
) -> None:
    recipe, whole = annealed(variant), uninterrupted(variant)
    first = trainer(recipe)
    while first.step < stop_at:
        first.run_epoch(lambda images: first.step >= stop_at)
    write_checkpoint(tmp_path / "c.safetensors", first.state())
    torch.manual_seed(12345)  # a new process knows nothing of the old one's generators
    second = trainer(recipe)
    second.restore(read_checkpoint(tmp_path / "c.safetensors"))
    while not second.done:
        second.run_epoch()

    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    without_time = [{k: v for k, v in row.items() if k != "seconds"} for row in whole.history]
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in second.history] == without_time


@pytest.mark.usefixtures("real_figures")
def test_an_interrupted_replacement_goes_on_with_both_flags(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    (out / "samples.png").write_text("of the old run")
    half = trainer(tiny_recipe())
    half.run_epoch()
    (tmp_path / "run.partial").mkdir()
    write_checkpoint(tmp_path / "run.partial" / "checkpoint.safetensors", half.state())
    with pytest.raises(ZooError, match="--overwrite"):
        train(tiny_recipe(), out, CPU, resume=True)
    train(tiny_recipe(), out, CPU, resume=True, overwrite=True)
    assert weights(out) == weights(trained)
    assert (out / "samples.png").read_bytes() == (trained / "samples.png").read_bytes()


def test_a_finished_run_of_another_recipe_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    short = {"epochs": 1, "batch_size": 50}
    out = train(tiny_recipe(training=short | {"seed": 1}), tmp_path / "run", CPU)
    with pytest.raises(ZooError, match="was trained from another recipe"):
        train(tiny_recipe(training=short), out, CPU, resume=True)
    train(tiny_recipe(training=short), out, CPU, resume=True, overwrite=True)
    assert read_config(out).recipe["training"]["seed"] == 0


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    state = trainer(tiny_recipe()).state()
    with pytest.raises(
        ZooError, match=r"another recipe \(training.batch_size was 50, is 128; training.seed was 0, is 3\)"
    ):
        trainer(tiny_recipe(training={"epochs": 9, "seed": 3})).restore(state)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, trainer(tiny_recipe()).state())
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ZooError, match="cannot read the checkpoint .*--overwrite"):
        read_checkpoint(path)


def test_a_checkpoint_keeps_nested_states(tmp_path: Path) -> None:
    state = {"a": [1, {"b": torch.arange(3)}], 5: {"x": 1.5, "y": None}, "t": torch.eye(2).T}
    write_checkpoint(tmp_path / "c", state)
    found = read_checkpoint(tmp_path / "c")
    assert torch.equal(found["a"][1]["b"], torch.arange(3))
    assert found[5] == {"x": 1.5, "y": None}


def start(recipe: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "zoo.train", str(recipe), "--out", str(out), "--import", str(PLUGIN), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.slow
def test_ctrl_c_writes_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    training = {"epochs": 60, "batch_size": 10}
    recipe = tmp_path / "r.json"
    recipe.write_text(json.dumps(tiny_fields(training=training)))
    process = start(recipe, tmp_path / "run")
    log = tmp_path / "run.partial" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not log.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "run.partial" / "checkpoint.safetensors").exists()
    epochs = [json.loads(line)["epoch"] for line in log.read_text().splitlines()]
    assert epochs == list(range(1, len(epochs) + 1))

    again = command("train", recipe, "--out", tmp_path / "run", "--import", PLUGIN)
    assert again.returncode == 2
    assert "unfinished run" in again.stderr

    resumed = command("train", recipe, "--out", tmp_path / "run", "--import", PLUGIN, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    whole = train(tiny_recipe(training=training), tmp_path / "whole", CPU)
    assert weights(tmp_path / "run") == weights(whole)
    assert not (tmp_path / "run.partial").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_process_a_signal_stops_between_two_steps(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(training={"epochs": 50, "batch_size": 50})
    original = Trainer.train_steps

    def interrupting(self: Trainer) -> Any:
        if self.epoch == 2:
            os.kill(os.getpid(), number)
        return original(self)

    monkeypatch.setattr(Trainer, "train_steps", interrupting)
    before = [signal.getsignal(known) for known in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted, match="stopped at step 11; .*--resume"):
        train(recipe, tmp_path / "run", CPU)
    assert [signal.getsignal(known) for known in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_diverged_state_never_replaces_a_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Trainer.train_steps

    def breaking(self: Trainer) -> Any:
        if self.epoch == 1:
            next(self.model.parameters()).data.fill_(float("nan"))
            os.kill(os.getpid(), signal.SIGINT)
        return original(self)

    monkeypatch.setattr(Trainer, "train_steps", breaking)
    recipe = tiny_recipe(training={"epochs": 9, "batch_size": 50}, execution={"checkpoint_epochs": 1})
    with pytest.raises(Divergence, match="last good checkpoint, step 5"):
        train(recipe, tmp_path / "run", CPU)
    state = read_checkpoint(tmp_path / "run.partial" / "checkpoint.safetensors")
    assert all(torch.isfinite(value).all() for value in state["model"].values())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"data": ["another", "digest"]}, "the images have changed"),
    ],
)
def test_a_checkpoint_of_other_data_is_refused(change: dict[str, Any], expected: str) -> None:
    found = trainer(tiny_recipe())
    with pytest.raises(ZooError, match=expected):
        found.restore(found.state() | change)


def moved(partial: Path) -> None:
    """Make a checkpoint one that a GPU has written."""
    state = read_checkpoint(partial / "checkpoint.safetensors")
    write_checkpoint(partial / "checkpoint.safetensors", state | {"device": "cuda", "compiled": True, "test_batch": 7})
    (partial / "checkpoint.previous.safetensors").unlink()


def half_a_run(recipe: Recipe, folder: Path) -> Path:
    """Stop a run after its first epoch; return the folder that it has written into."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Trainer, "end_epoch", interrupting(Trainer.end_epoch))
        train(recipe, folder, CPU)
    return folder.with_name(f"{folder.name}.partial")


def interrupting(method: Any) -> Any:
    def interrupted(self: Trainer) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return method(self)

    return interrupted


def test_a_run_goes_on_on_another_kind_of_device_with_noise_of_its_own(tmp_path: Path) -> None:
    recipe = tiny_recipe(training={"epochs": 3, "batch_size": 50})
    moved(half_a_run(recipe, tmp_path / "run"))
    words = "was started on cuda and continues on cpu: its noise and its rounding are others from here on"
    with pytest.warns(UserWarning, match=words):
        done = train(recipe, tmp_path / "run", CPU, resume=True)
    whole = train(recipe, tmp_path / "whole", CPU)
    first, second = (read_history(folder) for folder in (done, whole))
    assert len(first) == len(second) == 3
    assert first[0]["train"] == second[0]["train"]
    assert first[1]["train"] != second[1]["train"]
    assert first[1]["train"]["loss"] == pytest.approx(second[1]["train"]["loss"], rel=0.05)


def test_a_run_of_another_kind_of_device_can_be_ended_here(tmp_path: Path) -> None:
    recipe = tiny_recipe(training={"epochs": 3, "batch_size": 50})
    moved(half_a_run(recipe, tmp_path / "run"))
    done = command("finish", tmp_path / "run.partial", "--import", PLUGIN)
    assert done.returncode == 0, done.stderr
    assert len(read_history(tmp_path / "run")) == 1


def test_a_run_goes_on_where_it_was_started_if_that_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []
    monkeypatch.setattr("zoo.training.resumed_device.choose_device", chosen.append)
    out = tmp_path / "run"
    device_to_resume("auto", [out])
    half_a_run(tiny_recipe(training={"epochs": 2, "batch_size": 50}), out)
    device_to_resume("auto", [out])
    device_to_resume("auto", [tmp_path / "other", out])  # the other has none to agree
    device_to_resume("mps", [out])
    assert chosen == ["auto", "cpu", "auto", "mps"]
    done = train(tiny_recipe(training={"epochs": 1, "batch_size": 50}), tmp_path / "done", CPU)
    device_to_resume("auto", [done, tmp_path / "other"])  # it does not go on
    device_to_resume("auto", [done, out])
    device_to_resume("auto", [done])  # for more epochs, perhaps
    assert chosen[4:] == ["auto", "cpu", "cpu"]


@pytest.mark.parametrize(
    ("settings", "change", "words"),
    [
        ({"precision": "bf16"}, {}, "execution.precision was tf32 and is bf16: sums will round differently"),
        ({"convolutions": "gemm"}, {}, "execution.convolutions was auto and is gemm"),
        ({"compile": "off"}, {"compiled": True}, "the steps were compiled, and execution.compile is off"),
    ],
)
def test_other_sums_from_a_checkpoint_on_are_told(settings: dict[str, Any], change: dict[str, Any], words: str) -> None:
    state = trainer(tiny_recipe()).state()
    with pytest.warns(UserWarning, match=words):
        trainer(tiny_recipe(execution=settings)).restore(state | change)


def test_a_lock_of_a_file_system_without_locks_is_one(tmp_path: Path) -> None:
    lock = tmp_path / ".run.lock"
    lock.write_text("4711\nhost\n1234\n")
    assert lock_path(tmp_path / "run") == lock
    lock.write_text("my notes")
    with pytest.raises(ZooError, match="is where a lock would be, and is none"):
        lock_path(tmp_path / "run")


def with_threads(threads: int | str) -> Recipe:
    return tiny_recipe(execution={"threads": threads})


def test_a_resumed_run_keeps_its_number_of_threads() -> None:
    with threads_put_back():
        state = trainer(with_threads(2)).state()
        torch.set_num_threads(1)
        again = trainer(with_threads("auto"))
        assert again.context.threads.number == torch.get_num_threads() == 1
        again.restore(state)
        assert str(again.context.threads) == "2 threads (as before)"
        assert torch.get_num_threads() == 2
        assert again.state()["threads"] == 2
        other = trainer(with_threads(1))
        with pytest.warns(UserWarning, match="on 2 threads and continues with 1: its sums will round differently"):
            other.restore(state)
        assert other.context.threads.number == 1


@pytest.mark.slow
def test_the_first_line_tells_the_threads_and_the_number_is_put_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = torch.get_num_threads()
    train(with_threads(2), tmp_path / "run", CPU)
    assert "on cpu with 2 threads, step by step" in capsys.readouterr().out
    assert torch.get_num_threads() == before
    assert read_config(tmp_path / "run").hardware.endswith(", 2 threads")
