"""Validation images choose the epoch whose weights are kept, end a training in time, and touch nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import CPU, command, dataset, tiny_fields, tiny_recipe, tiny_recipe_of, trainer, weights
from tests.training.test_distributed import launch, recipe_file
from zoo import plotting
from zoo.datasets import ImageSet, load_images, split_off
from zoo.entries.trained_model import TrainedModel
from zoo.errors import ZooError
from zoo.runs.folder import read_config, read_history
from zoo.schema.recipe import Recipe
from zoo.training.multi_run import Run, train_many
from zoo.training.run import train
from zoo.training.state import copied

ADAM = {"name": "adam", "learning_rate": 0.03}


def validated(epochs: int = 12, patience: int | None = 1, **sections: Any) -> Recipe:
    """Return a recipe that goes too fast to be better after every epoch."""
    select = {"metric": "reconstruction", "patience": patience}
    training = {"epochs": epochs, "batch_size": 50, "validation": 30, "select": select}
    return tiny_recipe(**{"training": training, "optimizer": ADAM} | sections)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that was stopped by its patience."""
    return train(validated(), tmp_path_factory.mktemp("chosen") / "tiny_vae", CPU)


def recount(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["validation"]["reconstruction"] for line in lines]


def test_the_best_epoch_is_the_argmin_of_the_log_and_patience_ends_the_run(chosen: Path) -> None:
    values = recount(chosen)
    best = min(range(len(values)), key=values.__getitem__) + 1
    kept = read_config(chosen).selected
    assert kept is not None
    assert (kept.epoch, kept.epochs, kept.value) == (best, len(values), min(values))
    assert best + 1 == len(values) < 12
    card = (chosen / "README.md").read_text()
    assert f"the weights are those of epoch {best} of the {len(values)} trained" in card
    assert "30 more images of the training split" in card


def test_the_weights_are_those_of_a_run_of_so_many_epochs(chosen: Path, tmp_path: Path) -> None:
    kept = read_config(chosen).selected
    assert kept is not None
    training = {"epochs": kept.epoch, "batch_size": 50, "validation": 30}
    assert weights(train(validated(training=training), tmp_path / "exact", CPU)) == weights(chosen)


def test_figures_of_the_training_images_leave_the_validation_images_out(chosen: Path) -> None:
    config, trained = read_config(chosen), TrainedModel(chosen)
    whole = load_images(dataset("tiny"), "train")
    assert config.validation is not None
    assert (config.dataset["train"].images, config.validation.images) == (200, 30)
    assert trained.has_images_of_card("train") and len(trained.train) == 200
    done = command("evaluate", chosen, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    rest, held_out = split_off(whole, 30)
    assert held_out and held_out.digest == config.validation.sha256
    both = torch.cat([rest.images, held_out.images]).flatten(1)
    assert sorted(map(bytes, both.numpy())) == sorted(map(bytes, whole.images.flatten(1).numpy()))


def test_the_prior_of_a_plain_autoencoder_is_fitted_without_them(tmp_path: Path) -> None:
    recipe = tiny_recipe_of("ae", training={"epochs": 1, "batch_size": 50, "validation": 0.5})
    folder = train(recipe, tmp_path / "ae", CPU)
    trained = TrainedModel(folder)
    with torch.no_grad():
        codes = trained.model.encode(trained.train.images.float() / 255).mean
    assert len(codes) == 115
    assert torch.allclose(trained.model.state_dict()["prior.mean"], codes.mean(0), atol=1e-4)


def test_all_three_are_in_the_curves(chosen: Path) -> None:
    panel = plotting.loss_curves(read_history(chosen), "nats per image").axes[0]
    assert [line.get_label() for line in panel.lines] == ["train", "validation", "test"]
    histories = [read_history(chosen), read_history(chosen)[:2]]
    means = plotting.seed_curves(histories, "nats per image").axes[0].lines[2]
    assert len(means.get_xdata()) == 2  # as far as both go


def test_a_resumed_run_keeps_the_same_weights() -> None:
    whole = trainer(validated())
    states = []
    while not whole.done:
        whole.run_epoch()
        states.append(copied(whole.state()))
    resumed = trainer(validated())
    resumed.restore(states[-2])  # after the best epoch
    resumed.run_epoch()
    assert resumed.done and whole.selection and resumed.selection
    for run in (whole, resumed):
        run.take_selected()
    assert resumed.selection.record(9) == whole.selection.record(9)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])


def test_test_images_choose_nothing(chosen: Path, tmp_path: Path) -> None:
    other = train(validated(data={"name": "tiny", "test_images": 11}), tmp_path / "other", CPU)
    assert weights(other) == weights(chosen)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["on", "off"])
def test_several_seeds_stop_each_in_its_own_time(how: str, chosen: Path, tmp_path: Path) -> None:
    runs = [Run(validated(execution={"stack": how}), tmp_path / "0")]
    for seed in (1, 2):
        training = runs[0].recipe.training.model_copy(update={"seed": seed})
        runs.append(Run(runs[0].recipe.model_copy(update={"training": training}), tmp_path / str(seed)))
    assert not train_many(runs, CPU)
    kept = [read_config(run.out).selected for run in runs]
    assert len({each.epochs for each in kept if each}) > 1  # else this would show nothing
    assert [each.value for each in kept if each] == [min(recount(run.out)) for run in runs]
    alone = read_config(chosen).selected
    assert kept[0] and alone and kept[0].epoch == alone.epoch
    assert kept[0].value == pytest.approx(alone.value, rel=1e-4)


@pytest.mark.slow
def test_two_processes_choose_the_epoch_that_one_does(chosen: Path, tmp_path: Path) -> None:
    fields = {name: validated().to_dict()[name] for name in ("training", "optimizer")}
    run = launch(2, recipe_file(tmp_path, **fields), "--out", tmp_path / "run", "--device", "cpu")
    assert run.wait(timeout=300) == 0
    kept = read_config(tmp_path / "run").selected
    assert kept and kept.value == min(recount(tmp_path / "run"))


def test_annealed_terms_have_their_whole_weight() -> None:
    objective = {"name": "elbo", "beta": 4.0, "annealing": {"name": "cyclical", "period": 8, "rise": 1.0}}
    run = trainer(validated(objective=objective))
    row = run.run_epoch()
    assert row
    terms = row["validation"]
    assert terms["loss"] == pytest.approx(terms["reconstruction"] + 4 * terms["kl"], rel=1e-5)
    assert row["test"]["loss"] < row["test"]["reconstruction"] + row["test"]["kl"]


def test_groups_stay_together() -> None:
    groups = torch.arange(60) // 7
    images = ImageSet(torch.arange(60, dtype=torch.uint8).view(60, 1, 1, 1), torch.arange(60), groups=groups)
    train_set, held_out = split_off(images, 0.2)
    assert held_out and train_set.labels is not None and held_out.groups is not None
    assert 12 <= len(held_out) < 12 + 7 and len(train_set) + len(held_out) == 60
    assert train_set.groups is not None and not set(train_set.groups.tolist()) & set(held_out.groups.tolist())
    assert train_set.labels.tolist() == train_set.images.flatten().tolist()
    with pytest.raises(ZooError, match="leaves none of 9 groups"):
        split_off(images, 58)
    assert len(split_off(ImageSet(images.images), 0.2)[1] or []) == 12


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"validation": 0}, "training.validation: .*between 0 and 1, or their number"),
        ({"validation": 1.0}, "training.validation: .*between 0 and 1"),
        ({"validation": -3}, "training.validation: "),
        ({"validation": True}, "training.validation: "),
        ({"validation": "all"}, "training.validation: "),
        ({"select": {}}, "set training.validation"),
        ({"select": {"patience": 3}}, "set training.validation"),
        ({"validation": 0.1, "select": {"patience": 0}}, "training.select.patience: "),
        ({"validation": 0.1, "select": {"metric": "Loss!"}}, "training.select.metric: "),
    ],
)
def test_what_is_out_of_range_is_one_line(training: dict[str, Any], said: str) -> None:
    with pytest.raises(ZooError, match=said) as error:
        tiny_recipe(training={"epochs": 2} | training)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"validation": 230}, "leaves none of 230 training images"),
        ({"validation": 0.1, "select": {"metric": "los"}}, "no term 'los'; did you mean 'loss'?"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(training: dict[str, Any], said: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(tiny_fields(training={"epochs": 2} | training)))
    done = command("train", file, "--out", tmp_path / "out")
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "out.partial").exists()


def test_older_recipes_keep_their_digest() -> None:
    assert {"validation", "select"}.isdisjoint(tiny_recipe().to_dict()["training"])
