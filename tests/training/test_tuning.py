"""``zoo tune``: trials that a search chooses, trains and measures on validation images, alone and with others."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import command, tiny_fields, tiny_model
from zoo.errors import ZooError
from zoo.plotting.search import Panel, search_figure
from zoo.runs.folder import read_config, read_history
from zoo.schema.metric import metric_of
from zoo.schema.recipe import parse_recipe, read_recipe
from zoo.schema.search_space import read_space
from zoo.training import run as training_run
from zoo.training import study_summary, tuning
from zoo.training.search import Search
from zoo.training.study import abandoned, ask

pytest.importorskip("optuna")

SPACE = {
    "optimizer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "model.latent_dim": {"low": 2, "high": 5},
    "model.hidden": {"choices": [[8], [16, 8]]},
}
TRAINING = {"epochs": 1, "batch_size": 50, "validation": 0.2}


@pytest.fixture
def tune(tmp_path: Path, recipe_file: Callable[..., Path]) -> Callable[..., str]:
    """Runs ``zoo tune`` into ``study`` and returns what it printed, errors last."""

    def run(*options: object, space: Any = SPACE, code: int = 0, **sections: Any) -> str:
        (tmp_path / "space.json").write_text(json.dumps(space))
        recipe = recipe_file(**{"training": TRAINING} | sections)
        done = command("tune", recipe, "--search", tmp_path / "space.json", "--metric", "negative_elbo",
                       "--out", tmp_path / "study", "--device", "cpu", *options)  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture(autouse=True)
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves matplotlib out, but where the figure itself is looked at."""
    monkeypatch.setattr(study_summary, "search_figure", lambda panels, *words: panels)
    monkeypatch.setattr(study_summary, "to_png", lambda panels: json.dumps([panel.values for panel in panels]).encode())


def trials(folder: Path) -> list[tuple[Any, ...]]:
    """The settings and the outcome of each trial."""
    names = [f"tiny_vae_trial_{number}" for number in range(3)]
    configs = [read_config(folder / name) for name in names]
    return [(c.recipe["optimizer"], c.recipe["model"], c.weights_sha256) for c in configs]


def test_a_search_is_the_same_every_time_and_goes_on_where_it_was_interrupted(
    tune: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tune("--trials", 3)
    first, out = trials(tmp_path / "study"), tmp_path / "study"
    assert len({weights for *_, weights in first}) == 3
    assert all(2 <= model["latent_dim"] <= 5 and type(model["latent_dim"]) is int for _, model, _ in first)
    assert "tiny_vae: 3 trials, best first" in said
    # what is best was so on the validation images: the loss there is the bound, but for its noise
    losses = [read_history(out / f"tiny_vae_trial_{number}")[-1]["validation"]["loss"] for number in range(3)]
    best = read_recipe(out / "tiny_vae-best.json")
    chosen = int(said.rpartition("trial_")[2].split()[0])
    assert losses[chosen] == pytest.approx(min(losses), rel=0.01)
    assert best.to_dict()["model"] == first[chosen][1] and best.name == "tiny_vae_best"
    assert (out / "tiny_vae-study.md").read_text().count("\n| ") == 5
    assert len(json.loads((out / "tiny_vae-study.png").read_bytes())) == 1 + len(SPACE)
    assert not list(out.glob(".*.lock"))

    assert "trial 3: " not in tune("--trials", 3)  # nothing is left to do

    real, stopped = tuning.train, []

    def interrupted(recipe: Any, *arguments: Any, **more: Any) -> Any:
        if recipe.name.endswith("_1") and not stopped:
            stopped.append(recipe.name)
            raise tuning.Interrupted
        return real(recipe, *arguments, **more)

    monkeypatch.setattr(tuning, "train", interrupted)
    out.rename(tmp_path / "before")
    assert "the same command goes on" in tune("--trials", 3, code=130)
    assert not (out / "tiny_vae_trial_1").exists()
    tune("--trials", 3)
    assert trials(out) == first


def test_what_another_process_works_on_is_left_to_it(tune: Callable[..., str], tmp_path: Path) -> None:
    tune("--trials", 1, space={"model.latent_dim": {"choices": [2, 3]}})
    import optuna

    study = optuna.load_study(study_name="tiny_vae", storage=f"sqlite:///{tmp_path / 'study' / 'tiny_vae.db'}")
    recipe = parse_recipe(tiny_fields(training=TRAINING))
    space = read_space(tmp_path / "space.json", lambda setting: None)
    here, other = (Search(recipe, space, metric_of("mse"), "tiny_vae", tmp_path / "study") for _ in "ab")
    number, settings = ask(study, other)
    with other.at_work(), abandoned(study, here) as left:
        assert left is None
    moved = dataclasses.replace(here, out=tmp_path)
    with abandoned(study, moved) as left:  # of another folder, where no lock is seen
        assert left is None
    with abandoned(study, here) as left:  # the other has died
        assert left is not None and (left.number, left.params) == (number, settings)
        with abandoned(study, other) as again:
            assert again is None
    study.trials[number].user_attrs["host"] = "elsewhere"
    study.tell(number, 1.0)
    with abandoned(study, here) as left:
        assert left is None


def test_trials_that_fail_do_not_stop_the_search(tune: Callable[..., str], tmp_path: Path) -> None:
    said = tune("--trials", 4, space={"optimizer.learning_rate": {"choices": [1e-3, 1e6]}})
    assert "failed: training diverged" in said
    assert "that failed" in said and read_recipe(tmp_path / "study/tiny_vae-best.json").optimizer.learning_rate == 1e-3


def test_a_study_of_something_else_is_refused(tune: Callable[..., str]) -> None:
    space = {"model.latent_dim": {"choices": [2, 3]}}
    tune("--trials", 1, space=space)
    answers = {
        "recipe": tune("--trials", 2, "--set", "training.epochs=2", space=space, code=2),
        "search space": tune("--trials", 2, code=2),
        "metric": tune("--trials", 2, "--metric", "mse", space=space, code=2),
    }
    for what, said in answers.items():
        assert said == f"error: the study tiny_vae is one of another {what}; name a new one with --study\n"


def test_a_study_that_is_locked_is_refused(
    tune: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.training.study.LOCK_SECONDS", 0.0)
    path = tmp_path / "shared.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        said = tune("--storage", f"sqlite:///{path}", code=2)
    assert said == f"error: the study in sqlite:///{path} is locked by another process; try again when that has ended\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--set", "training.validation=null"), "add --set training.validation=0.1"),
        (("--metric", "active_units"), "no value is better than another"),
        (("--metric", "negative_elbow"), "unknown metric 'negative_elbow'; did you mean 'negative_elbo'"),
        (("--storage", "study.db"), "as in sqlite:///study.db"),
        (("--storage", "nosuch://me:secret@host/x"), "the study in nosuch://host/x cannot be used"),
        (("--study", "Mine"), "expected lower-case letters"),
        (("--trials", "0"), "expected a number from 1"),
    ],
)
def test_mistakes_on_the_command_line(tune: Callable[..., str], options: tuple[str, ...], said: str) -> None:
    answer = tune(*options, code=2)
    assert said in answer.splitlines()[-1]
    assert "secret" not in answer


def test_a_metric_that_the_model_lacks_ends_the_search(tune: Callable[..., str]) -> None:
    plain = {"model": tiny_model("ae"), "objective": {"name": "reconstruction"}}
    said = tune("--trials", 3, space={"model.latent_dim": {"choices": [2, 3]}}, code=2, **plain)
    assert "error: --metric negative_elbo: " in said and "trial 1" not in said


def test_a_metric_that_some_trials_lack_fails_these(tune: Callable[..., str]) -> None:
    plain = {"model": tiny_model("ae"), "objective": {"name": "reconstruction"}}
    said = tune("--trials", 6, space={"model": {"choices": [tiny_model("ae"), tiny_model("linear_vae")]}}, **plain)
    assert "failed: --metric negative_elbo: " in said and ": negative_elbo " in said


def test_a_mistake_in_a_part_of_ones_own_fails_its_trial(
    tune: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tuning.train

    def broken(recipe: Any, *arguments: Any, **more: Any) -> Any:
        if recipe.name.endswith("_0"):
            raise RuntimeError("boom")
        return real(recipe, *arguments, **more)

    monkeypatch.setattr(tuning, "train", broken)
    said = tune("--trials", 2, space={"model.latent_dim": {"choices": [2, 3]}})
    assert "RuntimeError: boom" in said and "trial 1: negative_elbo " in said


def test_ctrl_c_while_a_trial_is_measured_ends_the_search_after_it(
    tune: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, space = training_run.finish, {"model.latent_dim": {"choices": [2, 3]}}

    def finish(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(training_run, "finish", finish)
    said = tune("--trials", 3, space=space, code=130)
    assert "trial 0: negative_elbo" in said and "trial 1" not in said and "the same command goes on" in said
    monkeypatch.undo()
    assert "trial 0" not in tune("--trials", 2, space=space).partition("tiny_vae: 2 trials")[0]


def test_run_folders_of_an_earlier_study_are_no_trials(tune: Callable[..., str], tmp_path: Path) -> None:
    space = {"model.latent_dim": {"choices": [2, 3]}}
    tune("--trials", 2, space=space)
    (tmp_path / "study" / "tiny_vae.db").unlink()
    said = tune("--trials", 2, space=space, code=2)
    assert "tiny_vae_trial_0 is of a study that this one does not know; choose another folder with --out" in said


def test_the_best_trial_of_another_folder_is_named_as_such(tune: Callable[..., str], tmp_path: Path) -> None:
    shared = ("--trials", 1, "--storage", f"sqlite:///{tmp_path / 'shared.db'}")
    space = {"model.latent_dim": {"choices": [2, 3]}}
    assert "the best is trained: " in tune(*shared, space=space)
    said = tune(*shared, "--out", tmp_path / "elsewhere", space=space)
    assert "the best was trained elsewhere, with another --out; here: zoo train " in said


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({}, "names no field"),
        ({"model.latent_dim": 3}, "expected {"),
        ({"model.latent_dim": {"low": 1}}, "expected low and high, or choices"),
        ({"model.latent_dim": {"low": 3, "high": 2}}, "low must be less than high"),
        ({"model.latent_dim": {"low": 1.5, "high": 4}}, "integer"),
        ({"model.latent_dim": {"low": 1, "high": 4, "step": 9}}, "step must be"),
        ({"model.latent_dim": {"choices": [2, 2]}}, "a choice is there twice"),
        ({"model.latent_dim": {"choices": [2], "log": True}}, "choices stand alone"),
        ({"model.latent_dim": {"lo": 1, "high": 4}}, "unknown field; did you mean 'low'"),
        ({"model.latent_dm": {"low": 1, "high": 4}}, "did you mean 'latent_dim'"),
        ({"model.latent_dim": {"low": 0, "high": 4}}, "latent_dim"),
        ({"optimizer.learning_rate": {"low": 0, "high": 1, "log": True}}, "log needs a low above 0"),
        ({"data.name": {"choices": ["tiny"]}}, "no search may change it"),
        ({"training.validation": {"low": 0.1, "high": 0.2}}, "no search may change it"),
        ({"training": {"choices": [{"epochs": 1}]}}, "training: no search may change it"),
        (
            {"optimizer": {"choices": [{"name": "adam"}]}, "optimizer.learning_rate": {"low": 1e-3, "high": 1e-2}},
            "optimizer.learning_rate: optimizer is searched too, and one is a part of the other",
        ),
    ],
)
def test_spaces_that_are_wrong(tune: Callable[..., str], tmp_path: Path, space: Any, said: str) -> None:
    answer = tune(space=space, code=2)
    assert said in answer and answer.startswith(f"error: {tmp_path / 'space.json'}")
    assert not (tmp_path / "study").exists()


def test_a_field_says_itself_whether_it_takes_whole_numbers_only(tmp_path: Path) -> None:
    path = tmp_path / "space.json"
    path.write_text(json.dumps({"a": {"low": 1, "high": 4}, "b": {"low": 1, "high": 4}}))

    def takes(setting: str) -> None:
        if setting.startswith("a=") and not float(setting[2:]).is_integer():
            raise ZooError("a whole number")

    assert {field: whole for field, (_, whole) in read_space(path, takes).items()} == {"a": True, "b": False}


def test_the_figure_marks_the_best_trial() -> None:
    panels = [Panel("trial", [0, 1, 2], [3.0, 1.0, 2.0]), Panel("x", [0, 1, 0], [3.0, 1.0, 2.0], ["a", "b"])]
    for higher, place in ((False, 1), (True, 0)):
        axes = search_figure(panels, "loss", higher).axes
        assert [list(line.get_xdata()) for line in axes[0].lines] == [[0, 1, 2], [place]]
        assert [tick.get_text() for tick in axes[1].get_xticklabels()] == ["a", "b"]
