"""The shipped weights: from the committed recipes, on real data, as good as their cards say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import zoo
from tests.conftest import needs_mnist
from zoo.artifacts import RunConfig, load, read_config
from zoo.catalog import PACKAGE, WEIGHTS, list_models, weights_folder
from zoo.data import load_images
from zoo.evaluation import measure
from zoo.sections import Claim

ENTRIES = list_models(weights=True)

# What each entry has to reach on the MNIST test split.
BARS = {
    "linear_vae_mnist": ("negative_elbo", 102.5),
    "conv_vae_mnist": ("negative_elbo", 97.5),
    "bn_vae_mnist": ("negative_elbo", 126.0),
    "ae_mnist": ("mse", 0.0052),
}


def card(name: str) -> RunConfig:
    folder = weights_folder(name)
    assert folder is not None
    return read_config(folder)


def test_the_four_entries_are_shipped() -> None:
    assert set(BARS) <= set(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_the_weights_come_from_the_committed_recipe(name: str) -> None:
    config = card(name)
    assert config.name == name
    assert config.checked_recipe.digest() == zoo.recipe(name).digest()


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_loads_samples_and_reconstructs(name: str) -> None:
    model = load(name)
    samples = model.sample(16, torch.Generator().manual_seed(0))
    assert samples.shape == (16, *model.image_shape)
    assert samples.std() > 0.1
    assert sum(p.numel() for p in model.parameters()) == card(name).parameters


@pytest.mark.parametrize("name", BARS)
def test_the_card_reaches_its_bar(name: str) -> None:
    metric, bar = BARS[name]
    assert card(name).metrics["test"][metric] <= bar


@pytest.mark.parametrize("name", BARS)
def test_the_card_states_the_real_datasets(name: str) -> None:
    from zoo.datasets.mnist import RELEASED

    config = card(name)
    assert {split: record.sha256 for split, record in config.dataset.items()} == RELEASED
    assert config.dataset["test"].images == 10_000


@needs_mnist
@pytest.mark.parametrize("name", ENTRIES)
def test_measured_again_on_real_data_the_card_is_right(name: str) -> None:
    config = card(name)
    data = config.checked_recipe.data
    found = measure(load(name), load_images(data, "test"), data)
    assert found == pytest.approx(config.metrics["test"], rel=1e-3)


def kept(claim: Claim, config: RunConfig) -> bool:
    return abs(config.metrics[claim.split][claim.metric] - claim.value) <= claim.tolerance


@pytest.mark.parametrize("name", ENTRIES)
def test_the_recipes_claims_are_kept(name: str) -> None:
    claims = zoo.recipe(name).claims
    assert claims
    assert [claim for claim in claims if not kept(claim, card(name))] == []


def test_the_four_are_under_15_mb_together() -> None:
    size = sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file())
    assert size < 15e6
    assert not list(PACKAGE.rglob("*.pt"))
    assert not list(PACKAGE.rglob("*.p[k]l"))


def test_an_entry_loads_in_under_100_ms_once_torch_and_pydantic_are_imported() -> None:
    code = (
        "import sys, time, torch, pydantic.main, pydantic.fields, pydantic.types; "
        "t = time.perf_counter(); import zoo; zoo.load(sys.argv[1]); "
        "print(time.perf_counter() - t)"
    )
    # The fastest of three: the first of all also compiles the package's files.
    seconds = {
        name: min(float(subprocess.check_output([sys.executable, "-c", code, name])) for _ in range(3)) for name in BARS
    }
    assert max(seconds.values()) < 0.1, json.dumps(seconds)


def test_no_entry_holds_anything_but_a_run_folder() -> None:
    known = {"model.safetensors", "config.json", "README.md", "metrics.jsonl"}
    pictures = {"loss_curves.png", "reconstructions.png", "samples.png"}
    for name in ENTRIES:
        folder = Path(str(weights_folder(name)))
        assert {path.name for path in folder.iterdir()} == known | pictures
