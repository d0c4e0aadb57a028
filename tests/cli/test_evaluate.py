"""``zoo evaluate`` as a user runs it: tables, JSON, checks, updates, and the words for mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import CPU, PLUGIN, command, process, tiny_fields, tiny_recipe
from zoo.cli import app
from zoo.datasets import load_images
from zoo.entries.trained_model import TrainedModel
from zoo.errors import ZooError
from zoo.evaluation.claims import Statement, check_images, statements
from zoo.evaluation.report import ModelReport
from zoo.metrics import all_metrics
from zoo.runs.folder import read_config
from zoo.schema.recipe import parse_recipe
from zoo.training.run import train

FAST = ("--metrics", "elbo,mse,usage", "--device", "cpu")


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "tiny_vae"))


def run(*arguments: object) -> tuple[int, str]:
    done = command("evaluate", *arguments)
    return done.returncode, done.stdout


def report(*arguments: object) -> Any:
    code, out = run(*arguments, "--json")
    return {"code": code, **json.loads(out)}


def edit(folder: Path, **changes: Any) -> None:
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(fields | changes))


def with_claims(folder: Path, *claims: dict[str, Any]) -> None:
    recipe = json.loads((folder / "config.json").read_text())["recipe"]
    edit(folder, recipe=recipe | {"claims": list(claims)})


def test_everything_that_a_model_has_is_measured(folder: Path) -> None:
    found = report(folder, "--samples", 5, "--device", "cpu")
    assert found["code"] == 0
    assert {"negative_elbo", "nll_5", "mse", "psnr", "ssim", "active_units", "mutual_information"} <= set(
        found["metrics"]
    )
    assert {"knn_accuracy", "encode_latency"} <= set(found["metrics"])
    assert set(found["lacking"]) == {"disentanglement", "samples"}
    assert found["metrics"]["nll_5"] < found["metrics"]["negative_elbo"]
    assert (found["split"], found["images"], found["seed"]) == ("test", 70, 0)
    assert found["hardware"]
    assert found["versions"]["torch"]


def test_the_same_figures_as_at_the_end_of_training(folder: Path) -> None:
    for split in ("test", "train"):
        found = report(folder, *FAST, "--split", split)
        assert found["metrics"] == pytest.approx(read_config(folder).metrics[split], rel=1e-6)


def test_a_table_for_people(folder: Path) -> None:
    code, out = run(folder, *FAST, "--images", 20)
    assert code == 0
    assert "20 test images of tiny" in out
    assert "nats per image" in out
    assert "its card" in out


def test_a_true_card_passes_its_check(folder: Path) -> None:
    config = read_config(folder)
    with_claims(folder, {"metric": "mse", "value": config.metrics["test"]["mse"], "tolerance": 1e-4})
    found = report(folder, "--check", "--device", "cpu")
    assert found["code"] == 0
    claims = [line for line in found["statements"] if line["claimed"]]
    assert [line["metric"] for line in claims] == ["mse"]
    assert len(found["statements"]) == 1 + sum(len(metrics) for metrics in config.metrics.values())
    assert all(line["kept"] for line in found["statements"])


def test_a_false_claim_fails(folder: Path) -> None:
    with_claims(
        folder,
        {"metric": "kl", "value": 0.0, "tolerance": 0.01},
        {"metric": "nll_7", "value": 100.0, "tolerance": 1e5},
    )
    found = report(folder, "--check", "--claims", "--device", "cpu")
    assert found["code"] == 1
    assert {line["metric"]: line["kept"] for line in found["statements"]} == {"kl": False, "nll_7": True}
    code, out = run(folder, "--check", "--claims", "--device", "cpu")
    assert code == 1
    assert "not as stated" in out


@pytest.mark.parametrize("split", ["test", "train"])
def test_a_false_figure_on_the_card_fails(folder: Path, split: str) -> None:
    metrics = read_config(folder).metrics
    metrics[split]["negative_elbo"] *= 0.99  # type: ignore[index]
    edit(folder, metrics=metrics)
    found = report(folder, "--check", "--device", "cpu")
    assert found["code"] == 1
    wrong = [(line["split"], line["metric"]) for line in found["statements"] if not line["kept"]]
    assert wrong == [(split, "negative_elbo")]


def test_what_cannot_be_measured_is_said_and_does_not_pass_as_kept(folder: Path) -> None:
    with_claims(folder, {"metric": "mig", "value": 0.5, "tolerance": 1.0})
    found = report(folder, "--check", "--claims", "--device", "cpu")
    (line,) = found["statements"]
    assert found["code"] == 1  # a claim that cannot be measured is none
    assert line["kept"] is None
    assert "factors" in line["reason"]


def test_other_images_are_no_check(folder: Path) -> None:
    dataset = json.loads((folder / "config.json").read_text())["dataset"]
    edit(folder, dataset={**dataset, "test": {**dataset["test"], "sha256": "0" * 64}})
    with pytest.raises(ZooError, match="not those that tiny_vae was measured"):
        app.run(["evaluate", str(folder), "--check", "--device", "cpu"])


def test_an_update_writes_what_is_measured_and_the_card_of_it(folder: Path) -> None:
    before = read_config(folder)
    metrics = {**before.metrics, "test": {**before.metrics["test"], "mse": 9.0}}
    edit(folder, metrics=metrics)
    code, out = run(folder, "--update", "--samples", 3, "--device", "cpu")
    assert code == 0
    assert "README.md" in out
    after = read_config(folder)
    assert after.metrics["test"]["mse"] == pytest.approx(before.metrics["test"]["mse"], rel=1e-6)
    assert {"nll_3", "ssim", "knn_accuracy"} <= set(after.metrics["test"])
    assert after.metrics["train"] == pytest.approx(before.metrics["train"], rel=1e-6)
    assert {"elbo", "nll", "ssim", "speed"} <= set(after.evaluation)
    assert set(after.glyphs) == {"kl", "mse", "psnr", "active_units"}
    card = (folder / "README.md").read_text()
    assert "| nll_3 | nats per image |" in card
    assert "9.00000" not in card
    assert report(folder, "--check", "--device", "cpu")["code"] == 0


def test_after_the_update_of_a_shipped_entry_the_command_for_the_pages_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = ("evaluate", folder, "--update", "--metrics", "mse", "--device", "cpu", "--json")
    assert "docs/generate.py" not in command(*update).stderr
    monkeypatch.setattr("zoo.cli.evaluate.WEIGHTS", folder.parent)
    done = command(*update)
    assert "python docs/generate.py" in done.stderr
    assert json.loads(done.stdout)["written"] == [str(folder / "README.md"), str(folder / "config.json")]


def test_an_update_of_some_metrics_leaves_the_others(folder: Path) -> None:
    before = read_config(folder).metrics
    assert run(folder, "--update", "--metrics", "ssim", "--device", "cpu")[0] == 0
    after = read_config(folder).metrics
    assert {name: value for name, value in after["test"].items() if name != "ssim"} == before["test"]
    assert after["train"] == before["train"]


def test_a_card_that_was_edited_by_hand_stays(folder: Path) -> None:
    card = folder / "README.md"
    card.write_text(card.read_text() + "\nMy own words.\n")
    before = card.read_text()
    done = command("evaluate", folder, "--update", "--metrics", "mse", "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    assert "was edited by hand and stays as it is" in done.stderr
    assert json.loads(done.stdout)["written"] == [str(folder / "config.json")]
    assert card.read_text() == before


def test_an_update_adds_to_what_others_have_written_meanwhile(folder: Path) -> None:
    first, second = (ModelReport(TrainedModel(str(folder), "cpu")) for _ in "ab")
    assert first.trained.config == second.trained.config  # both have read it
    first.update(["mse"])
    edit(folder, metrics={"train": {"mse": 7.0}, "test": {"mse": 8.0}})
    second.update(["ssim"])
    after = read_config(folder).metrics
    assert after["train"] == {"mse": 7.0} and after["test"]["mse"] == 8.0 and "ssim" in after["test"]


def test_an_update_of_a_run_that_was_replaced_meanwhile_writes_nothing(folder: Path) -> None:
    report = ModelReport(TrainedModel(str(folder), "cpu"))
    assert report.trained.config and report.trained.model
    edit(folder, weights_sha256="0" * 64)
    before = (folder / "config.json").read_bytes()
    with pytest.raises(ZooError, match="has another run by now than was measured; nothing was written"):
        report.update(["mse"])
    assert (folder / "config.json").read_bytes() == before


def test_runs_with_other_seeds_give_the_spread(folder: Path, tmp_path: Path) -> None:
    runs = []
    for seed in (1, 2):
        recipe = parse_recipe(tiny_fields(training={"epochs": 2, "batch_size": 50, "seed": seed}))
        runs.append(train(recipe, tmp_path / f"seed{seed}", CPU))
    assert run(folder, "--update", *FAST, "--runs", *runs)[0] == 0
    config = read_config(folder)
    assert [repetition.seed for repetition in config.repetitions] == [1, 2]
    assert config.repetitions[0].metrics == read_config(runs[0]).metrics
    card = (folder / "README.md").read_text()
    assert "mean ± sd of 3 seeds" in card
    values = [c.metrics["test"]["kl"] for c in (config, *config.repetitions)]
    assert f"{sum(values) / 3:.2f} ±" in card

    with pytest.raises(ZooError, match="seed of tiny_vae itself"):
        app.run(["evaluate", str(folder), "--update", *FAST, "--runs", str(folder)])
    other = train(tiny_recipe(training={"epochs": 1, "batch_size": 50, "seed": 5}), tmp_path / "other", CPU)
    with pytest.raises(ZooError, match="not a run of the recipe"):
        app.run(["evaluate", str(folder), "--update", *FAST, "--runs", str(other)])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name entries"),
        (["conv_vae_mnst"], "conv_vae_mnist"),
        (["conv_vae_mnist", "--metrics", "ms"], "mse"),
        (["conv_vae_mnist", "--metrics", "nll"], "--samples"),
        (["conv_vae_mnist", "--check", "--update"], "choose one"),
        (["conv_vae_mnist", "--check", "--images", "5"], "drop --metrics"),
        (["conv_vae_mnist", "--update", "--split", "train"], "drop --images"),
        (["conv_vae_mnist", "--samples", "-1"], "choose between"),
        (["conv_vae_mnist", "--images", "1"], "at least two"),
        (["conv_vae_mnist", "--claims"], "--check"),
        (["conv_vae_mnist", "--runs", "x"], "--update"),
        (["zzz*"], "no entry with weights"),
        (["vae_tutorial_mnist"], "neither shipped nor on the Hub"),
    ],
)
def test_mistakes_end_with_a_word_and_code_2(arguments: list[str], words: str) -> None:
    done = command("evaluate", *arguments, "--device", "cpu")
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_has_every_metric_with_its_definition() -> None:
    code, out = run("--list")
    assert code == 0
    for metric in all_metrics().values():
        assert metric.name in out
        assert metric.definition in out
        assert metric.source in out
    assert json.loads(run("--list", "--json")[1])["mse"]["unit"] == "per pixel"


def test_as_a_command_with_a_file_of_ones_own(folder: Path) -> None:
    done = process("evaluate", folder, *FAST, "--json", "--import", PLUGIN)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "tiny_vae"


def test_a_claim_of_no_metric_is_no_recipe() -> None:
    with pytest.raises(ZooError, match=r"claims\.0\.metric.*did you mean 'mse'"):
        parse_recipe(tiny_fields(claims=[{"metric": "msee", "value": 1.0, "tolerance": 0.1}]))
    with pytest.raises(ZooError, match="nll_K"):
        parse_recipe(tiny_fields(claims=[{"metric": "nll", "value": 1.0, "tolerance": 0.1}]))


def test_statements_are_claims_and_the_figures_that_are_no_speeds(folder: Path) -> None:
    metrics = read_config(folder).metrics
    edit(folder, metrics={**metrics, "test": {**metrics["test"], "encode_latency": 3.0}})
    with_claims(folder, {"metric": "kl", "value": 3.0, "tolerance": 0.5})
    made = statements(read_config(folder))
    assert made[0] == Statement("test", "kl", 3.0, 0.5)
    assert "encode_latency" not in {statement.metric for statement in made}
    assert statements(read_config(folder), claims_only=True) == made[:1]


def test_the_images_of_a_card_are_known_by_their_digest(folder: Path) -> None:
    config = read_config(folder)
    images = load_images(config.checked_recipe.data, "test")
    assert check_images(config, "test", images) is images
    with pytest.raises(ZooError, match="not those"):
        check_images(config, "test", images.first(10))
