"""Several recipes with one command."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.benchmarks.ours import interleave
from tests.helpers import CPU, PLUGIN, command, tiny_fields, tiny_model, tiny_recipe, trainer, weights
from zoo.cli._common import expand_recipes
from zoo.errors import ZooError
from zoo.training import multi_run
from zoo.training import run as training_run
from zoo.training.epochs import Interrupted
from zoo.training.multi_run import DeviceMemory, Run, train_many
from zoo.training.run import OutOfMemory, train
from zoo.training.trainer import Trainer


def seeded(seed: int, **sections: Any) -> Any:
    return tiny_recipe(training={"epochs": 2, "batch_size": 50, "seed": seed}, **sections)


@pytest.mark.parametrize("at_once", [1, 3])
def test_runs_that_take_turns_end_with_the_bits_of_runs_alone(at_once: int, tmp_path: Path) -> None:
    recipes = [seeded(seed, model=tiny_model(name)) for seed, name in enumerate(("linear_vae", "bn_vae", "conv_vae"))]
    jobs = [Run(recipe, tmp_path / str(number)) for number, recipe in enumerate(recipes)]
    assert train_many(jobs, CPU, max_concurrent=at_once) == {}
    for job in jobs:
        alone = train(job.recipe, job.out.with_suffix(".alone"), CPU)
        assert weights(job.out) == weights(alone)
        assert (job.out / "samples.png").read_bytes() == (alone / "samples.png").read_bytes()


def test_a_run_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = seeded(1, optimizer={"name": "sgd", "learning_rate": 1e6})
    crashing = seeded(2)
    original = Trainer.end_epoch

    def end_epoch(self: Trainer) -> Any:
        if self.recipe == crashing:
            raise RuntimeError("a mistake in someone's variant")
        return original(self)

    monkeypatch.setattr(Trainer, "end_epoch", end_epoch)
    recipes = [seeded(0), broken, crashing, seeded(3)]
    jobs = [Run(recipe, tmp_path / str(number)) for number, recipe in enumerate(recipes)]
    failed = train_many(jobs, CPU, max_concurrent=2)
    assert set(failed) == {tmp_path / "1", tmp_path / "2"}
    assert "training diverged" in failed[tmp_path / "1"]
    assert "a mistake in someone's variant" in failed[tmp_path / "2"]
    assert (tmp_path / "0" / "config.json").exists() and (tmp_path / "3" / "config.json").exists()


def test_a_run_for_which_there_is_no_room_waits_for_another_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = Trainer.prepare
    others = [2]

    def prepare(self: Trainer) -> str:
        if self.recipe.training.seed == 1 and others:
            others.pop()
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self)

    monkeypatch.setattr(Trainer, "prepare", prepare)
    jobs = [Run(seeded(seed), tmp_path / str(seed)) for seed in (0, 1)]
    assert train_many(jobs, CPU, max_concurrent=2) == {}
    assert "it waits for one to end" in capsys.readouterr().out
    assert weights(tmp_path / "1") == weights(train(seeded(1), tmp_path / "alone", CPU))


def test_a_run_for_which_there_is_no_room_at_all_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(self: Trainer) -> str:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "prepare", prepare)
    (reason,) = train_many([Run(seeded(0), tmp_path / "run")], CPU).values()
    assert "memory is full; lower training.batch_size" in reason
    with pytest.raises(OutOfMemory):
        train(seeded(0), tmp_path / "alone", CPU)


def test_another_run_begins_only_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    free = [100, 60, 60]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[0], 100))
    memory = DeviceMemory(torch.device("cuda"))
    assert memory.fits_another()
    with memory.measure_start(Path("a")):
        free[0] = 60
    assert memory.largest == 40
    assert memory.fits_another()
    with memory.measure_start(Path("a")):  # only a run's first turn is its beginning
        free[0] = 10
    assert memory.largest == 40
    assert not memory.fits_another()


def test_ctrl_c_stops_all_and_all_go_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = [seeded(seed) for seed in (0, 1, 2)]
    jobs = [Run(recipe, tmp_path / str(number)) for number, recipe in enumerate(recipes)]
    original = Trainer.end_epoch

    def end_epoch(self: Trainer) -> Any:
        if self.recipe == recipes[1]:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self)

    monkeypatch.setattr(Trainer, "end_epoch", end_epoch)
    with pytest.raises(Interrupted, match=r"1.partial(.|\n)*0.partial"):
        train_many(jobs, CPU, max_concurrent=2)
    monkeypatch.undo()
    again = [Run(job.recipe, job.out, resume=True) for job in jobs]
    assert train_many(again, CPU) == {}
    for job in jobs:
        assert weights(job.out) == weights(train(job.recipe, job.out.with_suffix(".alone"), CPU))


def test_ctrl_c_while_a_run_is_measured_says_that_others_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [Run(seeded(seed), tmp_path / str(seed)) for seed in (0, 1, 2)]
    original = training_run.finish

    def finish(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(training_run, "finish", finish)
    with pytest.raises(Interrupted, match="^2 more wait; the same command and --resume trains them$"):
        train_many(jobs, CPU)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0"]


def test_interleaving_trains_one_epoch_of_each() -> None:
    trainers = [trainer(seeded(seed)) for seed in (0, 1)]
    interleave(trainers)
    assert [found.epoch for found in trainers] == [1, 1]
    alone = trainer(seeded(1))
    alone.run_epoch()
    pairs = zip(alone.model.parameters(), trainers[1].model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_wildcards_stand_for_entries_and_files(tmp_path: Path) -> None:
    assert expand_recipes(["conv_vae_m*", "ae_mnist", "conv_vae_mnist"]) == ["conv_vae_mnist", "ae_mnist"]
    assert {"ae_mnist", "conv_vae_mnist"} <= set(expand_recipes([], everything=True))
    for name in ("b.json", "a.json"):
        (tmp_path / name).write_text("{}")
    assert expand_recipes([f"{tmp_path}/*.json"]) == [f"{tmp_path}/a.json", f"{tmp_path}/b.json"]
    with pytest.raises(ZooError, match=r"no entry and no file fits 'nothing\*'; the entries are ae_"):
        expand_recipes(["nothing*"])
    with pytest.raises(ZooError, match="name a recipe's file or an entry .*--all"):
        expand_recipes([])


def test_several_recipes_and_seeds_from_the_command_line(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(tiny_fields()))
    bad.write_text(json.dumps(tiny_fields(name="bad", optimizer={"name": "sgd", "learning_rate": 1e6})))
    options = ("--import", PLUGIN, "--device", "cpu", "--out", tmp_path / "runs")
    done = command("train", good, bad, "--seeds", "0-1", *options)
    assert done.returncode == 2
    assert "tiny_vae-seed1: epoch 2/2" in done.stdout
    assert "2 of 4 runs are ready in" in done.stdout
    assert "bad-seed0 failed: training diverged" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in (tmp_path / "runs").iterdir() if path.suffix != ".partial"} == {
        "tiny_vae-seed0",
        "tiny_vae-seed1",
        "tiny_vae-seeds.md",
        "tiny_vae-seeds.png",
    }
    assert "tiny_vae: mean ± sd of 2 seeds (0-1)" in done.stdout
    assert json.loads((tmp_path / "runs" / "tiny_vae-seed1" / "config.json").read_text())["recipe"]["training"]["seed"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "name a recipe's file or an entry"),
        (["conv_vae_mnist", "--seeds", "1-x"], "seeds as in 0-9 or 0,2,5"),
        (["conv_vae_mnist", "--seeds", "3-1"], "seeds as in 0-9 or 0,2,5"),
        (["conv_vae_mnist", "--seeds", ",".join(["0-9999"] * 50)], "expected at most 1,000 seeds"),
        (["conv_vae_mnist", "--at-once", "-1"], "expected a number above 0"),
        (["conv_vae_mnist", "recipes/vae_conv.json"], "several of these recipes would be written to"),
        (["conv_vae_mnist", "--precision", "fp8"], "invalid choice"),
    ],
)
def test_mistakes(arguments: list[str], expected: str, tmp_path: Path) -> None:
    done = command("train", *arguments, "--device", "cpu", "--out", tmp_path / "runs")
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_switches_reach_the_recipe_and_leave_its_claims() -> None:
    done = command(
        "train", "conv_vae_mnist", "--print-recipe", "--precision", "bf16", "--compile", "off", "--graph", "off"
    )
    recipe = json.loads(done.stdout)
    found = recipe["execution"]
    assert (found["precision"], found["compile"], found["graph"]) == ("bf16", "off", "off")
    assert recipe["claims"]


def test_at_most_so_many_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    active: list[int] = []
    most: list[int] = []
    original: Callable[..., Any] = multi_run.run

    def counted(*arguments: Any, **options: Any) -> Any:
        active.append(1)
        most.append(len(active))
        yield from original(*arguments, **options)
        active.pop()

    monkeypatch.setattr(multi_run, "run", counted)
    train_many([Run(seeded(seed), tmp_path / str(seed)) for seed in range(4)], CPU, max_concurrent=2)
    assert max(most) == 2
