"""Runs go on for more epochs, or end at their last checkpoint, as their recipe then says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import CPU, command, tiny_recipe, trainer, weights
from zoo.errors import ZooError
from zoo.runs.folder import read_config, read_history
from zoo.schema.recipe import Recipe
from zoo.training.checkpoint import read_checkpoint, write_checkpoint
from zoo.training.go_on import going_on
from zoo.training.run import train
from zoo.training.trainer import Trainer

COSINE = {"name": "adam", "schedule": {"name": "cosine"}}


def lasting(epochs: int, **sections: Any) -> Recipe:
    return tiny_recipe(**{"training": {"epochs": epochs, "batch_size": 50}} | sections)


def stopped(folder: Path, steps: int, recipe: Recipe) -> Path:
    """Leave an unfinished run whose last checkpoint is that of so many steps."""
    run = trainer(recipe)
    while run.step < steps:
        if run.run_epoch(lambda images: run.step >= steps) is None:
            break
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True)
    write_checkpoint(partial / "checkpoint.safetensors", run.state())
    return partial


def terms(folder: Path) -> list[Any]:
    return [(row["epoch"], row["train"], row["test"]) for row in read_history(folder)]


def test_a_finished_run_goes_on_to_the_bits_of_a_longer_one(tmp_path: Path) -> None:
    whole = train(lasting(3), tmp_path / "whole", CPU)
    run = train(lasting(1), tmp_path / "run", CPU)
    done = command("train", run, "--set", "training.epochs=3", "--resume", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert weights(run) == weights(whole)
    assert terms(run) == terms(whole)
    config = read_config(run)
    assert config.recipe_sha256 == read_config(whole).recipe_sha256
    assert [part.model_dump() for part in config.earlier] == [{"epochs": 1, "steps": 5}]
    assert "Laid out over 1 epochs until step 5; went on as one of 3 epochs" in (run / "README.md").read_text()
    again = command("train", run, "--set", "training.epochs=3", "--resume", "--device", "cpu")
    assert again.returncode == 0 and "finished already" in again.stdout + again.stderr
    fewer = command("train", run, "--set", "training.epochs=2", "--resume", "--device", "cpu")
    assert fewer.returncode == 2 and "has taken 15 steps already" in fewer.stderr
    assert "--set training.epochs=3 goes on as it was begun" in fewer.stderr
    assert weights(run) == weights(whole) and not run.with_name("run.partial").exists()


def test_a_schedule_follows_the_new_length_and_the_recipe_says_so(tmp_path: Path) -> None:
    run = train(lasting(2, optimizer=COSINE), tmp_path / "run", CPU)
    done = command("train", run, "--set", "training.epochs=4", "--resume", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "follows the new length from epoch 3 on; before, it was laid out over 2 epochs" in done.stdout + done.stderr
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rates = [json.loads(line)["learning_rate"] for line in lines]
    assert rates == pytest.approx([1e-3, 0.5e-3, 0.5e-3, 1e-3 * (1 - 0.5**0.5) / 2])
    recipe = read_config(run).checked_recipe
    assert [stretch.model_dump() for stretch in recipe.training.stretches] == [{"until": 2, "epochs": 2}]
    assert weights(train(recipe, tmp_path / "again", CPU)) == weights(run)  # the recipe tells it all


def test_who_looks_on_sees_the_epochs_before_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, seen = train(lasting(1), tmp_path / "run", CPU), []
    original = Trainer.train_steps

    def train_steps(self: Trainer) -> Any:
        seen.append([row["epoch"] for row in read_history(tmp_path / "run.partial")])
        return original(self)

    monkeypatch.setattr(Trainer, "train_steps", train_steps)
    train(lasting(3), run, CPU, resume=True)
    assert seen == [[1], [1, 2]]


def test_an_interrupted_going_on_goes_on_with_the_same_command(tmp_path: Path) -> None:
    run = train(lasting(1), tmp_path / "run", CPU)
    half = trainer(lasting(3))
    half.restore(read_checkpoint(run / "checkpoint.safetensors") | {"replaces": read_config(run).weights_sha256})
    half.run_epoch()
    run.with_name("run.partial").mkdir()
    write_checkpoint(run.with_name("run.partial") / "checkpoint.safetensors", half.state())
    assert train(lasting(3), run, CPU, resume=True) == run
    assert [row["epoch"] for row in read_history(run)] == [1, 2, 3]
    assert weights(run) == weights(train(lasting(3), tmp_path / "whole", CPU))


@pytest.mark.parametrize("steps", [7, 10])
def test_an_unfinished_run_is_finished_at_its_last_checkpoint(steps: int, tmp_path: Path) -> None:
    partial = stopped(tmp_path / "run", steps, lasting(4, optimizer=COSINE))
    before = trainer(lasting(4, optimizer=COSINE))
    before.restore(read_checkpoint(partial / "checkpoint.safetensors"))
    done = command("finish", partial, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    run, config = tmp_path / "run", read_config(tmp_path / "run")
    assert not partial.exists() and f"Ended at step {steps}" in (run / "README.md").read_text()
    assert read_history(run)[-1]["epoch"] == 2 and len(read_history(run)) == 2
    training = {"epochs": 4, "batch_size": 50, "steps": steps}
    exact = train(lasting(4, optimizer=COSINE, training=training), tmp_path / "exact", CPU)
    assert weights(run) == weights(exact) and terms(run) == terms(exact)
    assert config.checked_recipe.training.steps == steps
    back = command("train", run, "--resume", "--device", "cpu")  # and on to the end, after all
    assert back.returncode == 0, back.stderr
    whole = train(lasting(4, optimizer=COSINE), tmp_path / "whole", CPU)
    assert weights(run) == weights(whole) and terms(run) == terms(whole)


def test_more_patience_lets_a_stopped_run_go_on(tmp_path: Path) -> None:
    def patient(patience: int) -> Recipe:
        select = {"metric": "reconstruction", "patience": patience}
        training = {"epochs": 5, "batch_size": 50, "validation": 30, "select": select}
        return tiny_recipe(training=training, optimizer={"name": "adam", "learning_rate": 0.03})

    run = train(patient(1), tmp_path / "run", CPU)
    assert len(read_history(run)) < 5
    train(patient(5), run, CPU, resume=True)
    assert terms(run) == terms(train(patient(5), tmp_path / "whole", CPU))
    assert weights(run) == weights(tmp_path / "whole")


def test_what_cannot_go_on_says_why(tmp_path: Path, trained: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    other = command("train", run, "--set", "training.batch_size=9", "--resume", "--device", "cpu")
    assert other.returncode == 2 and "another recipe (training.batch_size was 50, is 9)" in other.stderr
    (run / "checkpoint.safetensors").unlink()
    lost = command("train", run, "--set", "training.epochs=9", "--resume", "--device", "cpu")
    assert lost.returncode == 2 and "keeps no checkpoint to go on from" in lost.stderr
    nothing = command("finish", run)
    assert nothing.returncode == 2 and "no checkpoint of an unfinished run" in nothing.stderr
    several = command("train", run, "conv_vae_mnist", "--resume")
    assert several.returncode == 2 and "name it alone" in several.stderr
    begun = stopped(tmp_path / "begun", 0, lasting(2))
    none = command("finish", begun)
    assert none.returncode == 2 and "has taken no step yet" in none.stderr
    for done in (other, lost, nothing, several, none):
        assert len(done.stderr.splitlines()) == 1
    assert weights(run) == weights(trained)


def test_a_checkpoint_is_kept_unless_the_recipe_says_otherwise(tmp_path: Path) -> None:
    run = train(lasting(1, execution={"keep_checkpoint": False}), tmp_path / "run", CPU)
    assert not list(run.glob("checkpoint*"))


def test_stretches_are_kept_and_ordered() -> None:
    first = lasting(2, optimizer=COSINE)
    second = going_on(first, lasting(4, optimizer=COSINE), begun=2)
    third = going_on(second, lasting(8, optimizer=COSINE), begun=3)
    assert [(s.until, s.epochs) for s in third.training.stretches] == [(2, 2), (3, 4)]
    assert [third.training.planned(epoch) for epoch in range(5)] == [2, 2, 4, 8, 8]
    assert going_on(first, lasting(4), begun=2).training.stretches == ()  # a constant rate
    with pytest.raises(ZooError, match="each must end after the one before it"):
        tiny_recipe(training={"epochs": 4, "stretches": [{"until": 2, "epochs": 2}] * 2})
    with pytest.raises(ZooError, match="training.steps: "):
        tiny_recipe(training={"epochs": 4, "steps": 0})
    assert {"steps", "stretches"}.isdisjoint(first.to_dict()["training"])
