"""``zoo verify``: each thing that can be wrong with a run folder is found, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import command, needs_mnist
from zoo.entries.trained_model import TrainedModel
from zoo.metrics import measure_on_glyphs
from zoo.runs.folder import read_config


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "tiny_vae"))


def checks(folder: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    done = command("verify", folder, "--json", "--device", "cpu", *arguments)
    (made,) = json.loads(done.stdout).values()
    return done.returncode, {check["what"]: check for check in made}


def failed(found: dict[str, Any]) -> list[str]:
    return [name for name, check in found.items() if check["passed"] is False]


def edit(folder: Path, **changes: Any) -> None:
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(fields | changes))


def test_a_run_folder_as_training_left_it(folder: Path) -> None:
    code, found = checks(folder)
    assert code == 0
    assert failed(found) == []
    for name in ("recipe", "weights", "card", "train images", "test images"):
        assert found[name]["passed"] is True, name
    assert "the same as in training" in found["versions"]["detail"]


def test_other_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    code, found = checks(folder)
    assert (code, failed(found)) == (1, ["weights"])
    assert "sha256 differs" in found["weights"]["detail"]


def test_another_recipe(folder: Path) -> None:
    recipe = json.loads((folder / "config.json").read_text())["recipe"]
    edit(folder, recipe={**recipe, "training": {**recipe["training"], "epochs": 99}})
    code, found = checks(folder)
    assert code == 1
    assert "recipe" in failed(found)


def test_a_card_changed_by_hand(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(card.replace("## Metrics", "## The best metrics"))
    found = checks(folder)[1]
    assert failed(found) == []
    assert found["card"]["detail"] == "README.md was edited by hand; it is about these weights"
    sha256 = json.loads((folder / "config.json").read_text())["weights_sha256"]
    (folder / "README.md").write_text(card.replace(sha256, "0" * 64))
    assert failed(checks(folder)[1]) == ["card"]
    (folder / "README.md").unlink()
    assert failed(checks(folder)[1]) == ["card"]


def test_other_images(folder: Path) -> None:
    dataset = json.loads((folder / "config.json").read_text())["dataset"]
    edit(folder, dataset={**dataset, "train": {**dataset["train"], "sha256": "0" * 64}})
    assert "train images" in failed(checks(folder)[1])


def test_a_machine_that_computes_something_else(folder: Path) -> None:
    stated = measure_on_glyphs(TrainedModel(folder).model)
    edit(folder, glyphs=stated)
    assert checks(folder)[1]["computation"]["passed"] is True
    edit(folder, glyphs={**stated, "kl": stated["kl"] * 1.01})
    found = checks(folder)[1]
    assert failed(found) == ["computation", "card"] or failed(found) == ["computation"]
    assert "kl" in found["computation"]["detail"]


def test_images_that_are_not_here_are_no_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.errors import ZooError

    def gone(*arguments: object) -> None:
        raise ZooError("no network")

    monkeypatch.setattr("zoo.entries.trained_model.load_images", gone)
    code, found = checks(folder)
    assert code == 0
    assert found["test images"]["passed"] is None
    assert "no network" in found["test images"]["detail"]


def test_trained_again_it_is_the_same(folder: Path, tmp_path: Path) -> None:
    code, found = checks(folder, "--retrain", "--out", tmp_path / "again")
    assert code == 0
    assert found["weights again"]["passed"] is True  # the same machine: the same bits
    assert found["test negative_elbo"]["passed"] is True


def test_trained_again_a_figure_that_was_made_up_is_found(folder: Path, tmp_path: Path) -> None:
    metrics = read_config(folder).metrics
    metrics["test"]["kl"] *= 0.9
    edit(folder, metrics=metrics)
    code, found = checks(folder, "--retrain", "--out", tmp_path / "again")
    assert code == 1
    assert "test kl" in failed(found)
    assert "test mse" not in failed(found)


@needs_mnist
def test_as_a_command_on_a_shipped_entry() -> None:
    done = command("verify", "linear_vae_mnist", "--device", "cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing_mnist"], "unknown entry"),
        (["conv_vae_mnist", "--resume"], "--retrain"),
        (["conv*", "--retrain", "--out", "x"], "one model"),
    ],
)
def test_mistakes_end_with_a_word_and_code_2(arguments: list[str], words: str) -> None:
    done = command("verify", *arguments, "--device", "cpu")
    assert done.returncode == 2
    assert words in done.stderr
