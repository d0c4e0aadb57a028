"""Loggers: what each has been told, read back with its own reader; failures; and that no bit depends on them."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import zoo
from tests.helpers import CPU, PLUGIN, command, process, tiny_recipe, weights
from zoo.errors import ZooError
from zoo.loggers import LoggedRun, Logger
from zoo.registry import LOGGERS
from zoo.runs.folder import read_config, read_history
from zoo.training import run_log
from zoo.training.run import train


def needs(package: str) -> Any:
    return pytest.mark.skipif(find_spec(package) is None, reason=f"needs {package} (the extra `{package}`)")


class Noted(Logger):
    """Keeps what it is told, and fails at the epoch that it is asked to fail at."""

    def __init__(self, run: LoggedRun) -> None:
        self.run, self.told, self.fail_at = run, list[tuple[Any, ...]](), 0

    def scalars(self, epoch: int, values: Any) -> None:
        if epoch == self.fail_at:
            raise ConnectionError("the service is away\nand stays so")
        self.told.append(("scalars", epoch, dict(values)))

    def images(self, epoch: int, name: str, images: Tensor) -> None:
        self.told.append(("images", epoch, name, images))

    def figures(self, epoch: int, values: Any) -> None:
        self.told.append(("figures", epoch, dict(values)))

    def close(self) -> None:
        self.told.append(("close",))


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[Noted]:
    """Registers a logger ``noted``; yields those that were started."""
    monkeypatch.setattr(LOGGERS, "_registered", dict(LOGGERS._registered))
    started: list[Noted] = []

    @zoo.register_logger()
    def noted(run: LoggedRun) -> Logger:
        """Notes of the tests."""
        started.append(Noted(run))
        return started[-1]

    return started


def test_a_logger_of_ones_own_is_told_everything_and_changes_no_bit(tmp_path: Path, noted: list[Noted]) -> None:
    out = train(tiny_recipe(), tmp_path / "a", CPU, log=["noted"])
    (logger,) = noted
    assert (logger.run.name, logger.run.folder, logger.run.epoch) == ("a", tmp_path, 0)
    assert logger.run.recipe == tiny_recipe().to_dict()
    for row, (_, epoch, values) in zip(
        read_history(out), [told for told in logger.told if told[0] == "scalars"], strict=True
    ):
        assert epoch == row["epoch"]
        assert values["train/loss"] == row["train"]["loss"] and values["test/kl"] == row["test"]["kl"]
        assert {"learning_rate", "seconds"} < values.keys()
    images = {(epoch, name): pixels for kind, epoch, name, pixels in (t for t in logger.told if t[0] == "images")}
    assert images.keys() == {(1, "originals"), *((e, n) for e in (1, 2) for n in ("reconstructions", "samples"))}
    assert all(pixels.shape == (10, 1, 28, 28) and pixels.dtype.itemsize == 1 for pixels in images.values())
    *_, (_, epoch, figures), closed = logger.told
    config = read_config(out)
    assert epoch == 2 and figures["test/negative_elbo"] == config.metrics["test"]["negative_elbo"]
    assert closed == ("close",)
    assert weights(out) == weights(train(tiny_recipe(), tmp_path / "b", CPU))


def test_a_logger_that_fails_warns_once_and_training_goes_on(
    tmp_path: Path, noted: list[Noted], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Noted.__init__

    def init(self: Noted, run: LoggedRun) -> None:
        original(self, run)
        self.fail_at = 1

    monkeypatch.setattr(Noted, "__init__", init)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out = train(tiny_recipe(), tmp_path / "a", CPU, log=["noted"])
    texts = [str(warning.message) for warning in caught if "logger" in str(warning.message)]
    assert texts == ["the logger 'noted' failed (ConnectionError: the service is away); training goes on without it"]
    assert len(read_history(out)) == 2 and not noted[0].told


def test_a_logger_that_there_is_not_or_that_is_not_installed_is_one_line(
    recipe_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = command("train", recipe_file(), "--log", "tensorbord", "--out", tmp_path / "a")
    assert (done.returncode, "unknown logger 'tensorbord'; did you mean 'tensorboard'" in done.stderr) == (2, True)
    monkeypatch.setattr(run_log, "find_spec", lambda package: None)
    done = command("train", recipe_file(), "--log", "wandb", "--out", tmp_path / "a")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("--log wandb needs wandb: pip install 'autoencoder-zoo[wandb]'")
    with pytest.raises(ZooError, match="--log trackio needs trackio"):
        train(tiny_recipe(), tmp_path / "a", CPU, log=["trackio"])
    assert not (tmp_path / "a").exists() and not (tmp_path / "a.partial").exists()


@needs("tensorboard")
def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = train(tiny_recipe(), tmp_path / "a", CPU, log=["tensorboard"])
    events = EventAccumulator(str(tmp_path / "tensorboard" / "a"))
    events.Reload()
    history, config = read_history(out), read_config(out)
    assert [(e.step, e.value) for e in events.Scalars("test/loss")] == [
        (row["epoch"], pytest.approx(row["test"]["loss"], rel=1e-6)) for row in history
    ]
    (final,) = events.Scalars("final/test/negative_elbo")
    assert final.value == pytest.approx(config.metrics["test"]["negative_elbo"], rel=1e-6)
    assert {"originals", "reconstructions", "samples"} <= {tag.partition("/")[0] for tag in events.Tags()["images"]}
    (recipe,) = events.Tensors("recipe/text_summary")
    assert b'"latent_dim": 4' in recipe.tensor_proto.string_val[0]


@needs("wandb")
@pytest.mark.slow
def test_weights_and_biases_keeps_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the logger")
        train(tiny_recipe(), tmp_path / "a", CPU, log=["wandb"])
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    (file,) = run.glob("*.wandb")
    content = file.read_bytes()
    assert b"train/loss" in content and b"final/test/negative_elbo" in content
    assert {path.name.partition("_")[0] for path in run.rglob("*.png")} >= {"reconstructions", "samples"}


@needs("trackio")
@pytest.mark.slow
def test_trackio_keeps_a_run_in_its_database(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(tiny_recipe().to_dict()))
    done = process(
        "train", recipe, "--import", PLUGIN, "--device", "cpu", "--out", tmp_path / "a", "--log", "trackio",
        TRACKIO_DIR=str(tmp_path / "trackio"), HF_HOME=str(tmp_path / "hf"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the logger" not in done.stderr, done.stderr
    (database,) = (tmp_path / "trackio").rglob("*.db")
    with sqlite3.connect(database) as connection:
        rows = [(step, json.loads(text)) for step, text in connection.execute("select step, metrics from metrics")]
    assert [step for step, row in rows if "train/loss" in row] == [1, 2]
    assert any("final/test/negative_elbo" in row for _, row in rows)


@needs("IPython")
def test_a_notebook_shows_one_figure_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    class Handle:
        def update(self, figure: Any) -> None:
            shown.append(figure)

    def display(figure: Any, display_id: bool) -> Handle:
        shown.append(figure)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("zoo.plotting.loss_curves", lambda history, unit: [dict(row) for row in history])
    out = train(tiny_recipe(), tmp_path / "a", CPU, log=["notebook"])
    assert [len(history) for history in shown] == [1, 2]
    expected = [{name: row[name] for name in ("epoch", "train", "test")} for row in read_history(out)]
    assert [{name: row[name] for name in ("epoch", "train", "test")} for row in shown[-1]] == expected
