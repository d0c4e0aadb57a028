"""Starting from weights, freezing, and the choice of initial weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.helpers import CPU, command, tiny_recipe, tiny_recipe_of, trainer
from zoo.errors import ZooError
from zoo.models.build import build
from zoo.models.priors import StandardNormal
from zoo.runs.folder import read_config
from zoo.training.run import train
from zoo.training.start import INITIALISERS, initial_model, resolved, take_fitting

TRAINING = {"epochs": 1, "batch_size": 50}


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return train(tiny_recipe(training=TRAINING), tmp_path / "before", CPU)


def test_a_run_starts_from_the_weights_of_another_and_says_so_on_its_card(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny_recipe(training=TRAINING | {"start": str(before), "freeze": ["encoder", "decoder.0"]})
    after = train(recipe, tmp_path / "after", CPU)
    first, second = (load_file(folder / "model.safetensors") for folder in (before, after))
    frozen = {name for name in first if torch.equal(first[name], second[name])}
    assert frozen == {name for name in first if name.startswith(("encoder.", "decoder.0."))} < first.keys()
    assert f"starting from {before}: {len(first)} of {len(first)} tensors" in capsys.readouterr().out
    config, sha256 = read_config(after), read_config(before).weights_sha256
    assert config.recipe["training"]["start_sha256"] == sha256
    assert f"sha256 {sha256}" in (after / "README.md").read_text()
    assert config.model_section()  # the digest is that of the recipe as written out


def test_what_does_not_fit_is_named_and_begins_afresh(before: Path) -> None:
    model = {"variant": "linear_vae", "hidden": [32], "latent_dim": 6}
    fresh = trainer(tiny_recipe(model=model))
    found = trainer(tiny_recipe(model=model, training=TRAINING | {"start": str(before)}))
    weights = load_file(before / "model.safetensors")
    for name, tensor in found.model.state_dict().items():
        fits = name in weights and weights[name].shape == tensor.shape
        assert torch.equal(tensor, weights[name] if fits else fresh.model.state_dict()[name])
        assert (f"{name} ([" in found.start_note) is not fits


def test_weights_of_which_nothing_fits_are_refused() -> None:
    model = nn.Linear(2, 3)
    with pytest.raises(ZooError, match="no tensor of x fits this model: weight "):
        take_fitting(model, {"weight": torch.zeros(4, 2)}, "x")


def test_start_weights_that_have_changed_are_refused(before: Path) -> None:
    recipe = tiny_recipe(training=TRAINING | {"start": str(before), "start_sha256": "0" * 64})
    with pytest.raises(ZooError, match="not those that the recipe was trained from"):
        resolved(recipe.training)


@pytest.mark.parametrize("variant", ["bn_vae", "vq_vae"])
def test_a_frozen_module_keeps_its_buffers_too(variant: str) -> None:
    whole = ["encoder", "prior"] if variant == "vq_vae" else ["encoder"]
    found = trainer(tiny_recipe_of(variant, training={"epochs": 2, "batch_size": 50, "freeze": whole}))
    before = {name: tensor.clone() for name, tensor in found.model.state_dict().items()}
    found.run_epoch()
    found.run_epoch()
    for name, tensor in found.model.state_dict().items():
        if not name.startswith("decoder"):
            assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"freeze": ["encodr"]},
            "training.freeze: 'encodr' names no parameter of the model; did you mean 'encoder' or ",
        ),
        ({"freeze": ["*"]}, "training.freeze leaves no parameter to train"),
        ({"start": "conv_vae_mnst"}, "training.start: unknown entry 'conv_vae_mnst'; did you mean 'conv_vae_mnist'"),
        ({"start": "./nowhere"}, "training.start: "),
    ],
)
def test_what_cannot_be_frozen_or_started_from_is_one_line(
    settings: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.json"
    fields = tiny_recipe().to_dict() | {"training": TRAINING | settings}
    path.write_text(json.dumps(fields))
    done = command("train", path, "--out", tmp_path / "run", "--device", "cpu")
    assert done.returncode == 2
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_initial_weights_leave_a_prior_of_couplings_the_identity() -> None:
    model = {"variant": "vae", "latent_dim": 4, "network": {"name": "mlp", "hidden": [8]}, "prior": {"name": "flow"}}
    prior = initial_model(tiny_recipe(model=model, training=TRAINING | {"initial_weights": "kaiming_uniform"}))[0].prior
    z = torch.randn(5, 4)
    torch.testing.assert_close(prior.log_prob(z), StandardNormal(4).log_prob(z))


def test_initial_weights_are_those_under_a_spectral_norm() -> None:
    network = {"name": "mlp", "hidden": [8], "spectral_norm": True}
    model = {"variant": "ae", "latent_dim": 4, "network": network}
    drawn, _ = initial_model(tiny_recipe(model=model, training=TRAINING | {"initial_weights": "orthogonal"}))
    stored = [tensor for name, tensor in drawn.decoder.named_parameters() if name.endswith("original")]
    assert len(stored) == 2
    for weight in stored:
        product = weight @ weight.T if len(weight) < weight.shape[1] else weight.T @ weight
        torch.testing.assert_close(product, torch.eye(len(product)), atol=1e-5, rtol=0)
    for module in drawn.eval().decoder.modules():
        if isinstance(module, nn.Linear):
            assert float(torch.linalg.matrix_norm(module.weight, 2)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("choice", INITIALISERS)
def test_initial_weights_are_drawn_by_torchs_function(choice: Any) -> None:
    recipe = tiny_recipe_of("bn_vae", training=TRAINING | {"initial_weights": choice})
    torch.manual_seed(3)
    model, _ = initial_model(recipe)
    torch.manual_seed(3)
    expected = build(recipe)
    function = {"truncated_normal": nn.init.trunc_normal_}.get(choice) or getattr(nn.init, f"{choice}_")
    settings = {"nonlinearity": "relu"} if "kaiming" in choice else {"std": 0.02} if "trunc" in choice else {}
    for module in expected.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            function(module.weight, **settings)
            nn.init.zeros_(module.bias)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
