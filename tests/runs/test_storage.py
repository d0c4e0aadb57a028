"""Weights that are stored in half: rounded before anything is measured, read back as float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from torch import nn

import zoo
from tests.helpers import CPU, command, tiny_recipe, weights
from zoo.datasets import load_images
from zoo.errors import ZooError
from zoo.metrics import measure
from zoo.runs.folder import CONFIG_FILE, WEIGHTS_FILE, load_folder, read_config
from zoo.runs.storage import from_half, in_half, round_parameters
from zoo.schema.recipe import Recipe
from zoo.system.files import sha256
from zoo.training.run import train


def recipe_of(**sections: Any) -> Recipe:
    """A plain autoencoder with BatchNorm, so that there are averages, a counter and a fitted covariance."""
    model = {"variant": "ae", "latent_dim": 4, "network": {"name": "mlp", "hidden": [16], "batch_norm": True}}
    training = {"epochs": 1, "batch_size": 50} | sections
    return tiny_recipe(name="half", model=model, objective={"name": "reconstruction"}, training=training)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe_of(storage="float16"), tmp_path_factory.mktemp("runs") / "half", CPU)


def test_the_file_has_the_parameters_in_half_and_all_else_as_it_is(half: Path) -> None:
    stored, model = load_file(half / WEIGHTS_FILE), load_folder(half)
    parameters = {name for name, _ in model.named_parameters()}
    assert {name for name, tensor in stored.items() if tensor.dtype is torch.float16} == parameters
    others = {name: stored[name].dtype for name in stored.keys() - parameters}
    assert any("running_var" in name for name in others) and any(name.startswith("prior.") for name in others)
    assert set(others.values()) == {torch.float32, torch.int64}
    loaded = model.state_dict()
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32, torch.int64}
    assert all(torch.equal(loaded[name], tensor.to(loaded[name].dtype)) for name, tensor in stored.items())


def test_the_figures_of_the_card_are_those_of_the_stored_weights(half: Path) -> None:
    config, model = read_config(half), load_folder(half)
    assert config.weights_sha256 == sha256(weights(half))
    data = config.checked_recipe.data
    assert measure(model, load_images(data, "test"), data) == config.metrics["test"]
    exact = read_config(train(recipe_of(), half.parent / "exact", CPU))
    assert exact.metrics["test"] != config.metrics["test"]  # rounding is seen in the last digits
    assert exact.metrics["test"] == pytest.approx(config.metrics["test"], rel=1e-3)
    assert "the parameters stored as float16" in (half / "README.md").read_text()
    done = command("evaluate", half, "--check", "--device", "cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    done = command("verify", half)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_finished_run_can_be_stored_in_half_later(half: Path, tmp_path: Path) -> None:
    run = train(recipe_of(), tmp_path / "half", CPU)
    done = command("train", run, "--set", "training.storage=float16", "--resume", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert weights(run) == weights(half)
    assert read_config(run).recipe_sha256 == read_config(half).recipe_sha256
    assert read_config(run).metrics == read_config(half).metrics


def test_a_training_starts_from_weights_in_half(half: Path, tmp_path: Path) -> None:
    run = train(recipe_of(start=str(half), freeze=["encoder"]), tmp_path / "run", CPU)
    there, here = load_folder(half).state_dict(), load_folder(run).state_dict()
    assert all(torch.equal(there[name], here[name]) for name in here if name.startswith("encoder."))


def test_the_recipes_that_do_not_say_it_keep_text_and_digest() -> None:
    plain = recipe_of()
    assert "storage" not in plain.to_dict()["training"]
    assert plain.digest() == recipe_of(storage="float32").digest() != recipe_of(storage="float16").digest()
    with pytest.raises(ZooError, match=r"training\.storage: input should be 'float32' or 'float16'"):
        recipe_of(storage="int8")


def forged(run: Path, to: Path, change: Any, storage: str = "float16") -> Path:
    """Write a run folder with other tensors, signed like a true one."""
    tensors = change(load_file(run / WEIGHTS_FILE))
    content = save(tensors)
    recipe = recipe_of(storage=storage)
    fields = json.loads((run / CONFIG_FILE).read_text())
    fields |= {"weights_sha256": sha256(content), "recipe": recipe.to_dict(), "recipe_sha256": recipe.digest()}
    to.mkdir()
    (to / CONFIG_FILE).write_text(json.dumps(fields))
    (to / WEIGHTS_FILE).write_bytes(content)
    return to


def test_types_that_no_training_writes_are_refused(half: Path, tmp_path: Path) -> None:
    def averages(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: t.half() if "running" in name else t for name, t in tensors.items()}

    with pytest.raises(ZooError, match=r"running_mean: expected float32 .*, found float16"):
        zoo.load(forged(half, tmp_path / "averages", averages))
    with pytest.raises(ZooError, match=r"expected float32 .*, found float16"):
        zoo.load(forged(half, tmp_path / "unsaid", dict, storage="float32"))
    with pytest.raises(ZooError, match=r"expected float32 .*, found bfloat16"):
        zoo.load(forged(half, tmp_path / "brain", lambda all: {name: t.bfloat16() for name, t in all.items()}))


def test_what_float16_cannot_hold_stays_float32_and_nothing_becomes_infinite() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2).double(), nn.BatchNorm1d(2))
    with torch.no_grad():
        model[0].weight[0, 0] = 7e4
        model[0].bias.fill_(1e-9)  # below what float16 can tell from 0
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    round_parameters(model)
    stored = in_half(model)
    assert {name for name, tensor in stored.items() if tensor.dtype is torch.float16} == {
        "0.bias",
        "2.weight",
        "2.bias",
    }
    assert torch.equal(model[0].weight, before["0.weight"]) and torch.equal(model[1].weight, before["1.weight"])
    assert not model[0].bias.any()
    back = from_half(model, stored)
    assert all(torch.equal(back[name], tensor) for name, tensor in model.state_dict().items())
    assert {name: tensor.dtype for name, tensor in back.items()} == {name: t.dtype for name, t in before.items()}
