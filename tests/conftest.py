"""What the tests share: a tiny dataset, recipes on it, and real data where it is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.transforms.functional import to_pil_image

import zoo
from tests import plugin  # registers the dataset "tiny"  # noqa: F401
from tests.hub_server import StandInHub, stand_in_hub
from zoo.autoencoder import Autoencoder
from zoo.data import data_folder, load_images
from zoo.hub.cache import warn_unpinned
from zoo.registry import DATASETS, VARIANTS, list_variants
from zoo.schema.base import DatasetConfig
from zoo.schema.recipe import Recipe, parse_recipe
from zoo.training.run import train
from zoo.training.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")


def dataset(name: str, **settings: Any) -> DatasetConfig:
    """A dataset's settings."""
    found: DatasetConfig = DATASETS.get(name).config(**settings)
    return found


def tiny_fields(**sections: Any) -> dict[str, Any]:
    """The fields of a recipe that trains in a second; keyword arguments replace whole sections."""
    fields: dict[str, Any] = {
        "name": "tiny_vae",
        "summary": "A small VAE on striped images",
        "data": {"name": "tiny"},
        "model": {"variant": "linear_vae", "hidden": [32], "latent_dim": 4},
        "objective": {"name": "elbo"},
        "optimizer": {"name": "adam"},
        "training": {"epochs": 2, "batch_size": 50},
    }
    return fields | sections


def tiny_recipe(**sections: Any) -> Recipe:
    return parse_recipe(tiny_fields(**sections))


SHIPPED_VARIANTS = [name for name in list_variants() if VARIANTS.get(name).build.__module__.startswith("zoo.")]


def trainer(recipe: Recipe) -> Trainer:
    return Trainer(recipe, load_images(recipe.data, "train"), load_images(recipe.data, "test"), CPU)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture
def recipe_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny recipe and returns its path."""

    def write(**sections: Any) -> Path:
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps(tiny_fields(**sections)))
        return path

    return write


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run folder; copy it before changing it."""
    return train(tiny_recipe(), tmp_path_factory.mktemp("runs") / "tiny_vae", CPU)


def command(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ...`` as a user would."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=cwd or ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


PLUGIN = ROOT / "tests" / "plugin.py"

needs_mnist = pytest.mark.skipif(
    not (data_folder() / "MNIST" / "raw" / "t10k-images-idx3-ubyte").is_file(),
    reason=f"needs real data: no MNIST under {data_folder()} (set ZOO_DATA)",
)
needs_fashion_mnist = pytest.mark.skipif(
    not (data_folder() / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").is_file(),
    reason=f"needs real data: no Fashion-MNIST under {data_folder()} (set ZOO_DATA)",
)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    """A stand-in for the Hub, an empty cache, and the token of the user ``me``."""
    with stand_in_hub() as server:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "token-of-me")
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # between attempts
        warn_unpinned.cache_clear()
        yield server


# --- for the tasks ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def model() -> Autoencoder:
    return zoo.load("beta_vae_1_glyphs")


@pytest.fixture(scope="session")
def glyphs(model: Autoencoder) -> torch.Tensor:
    """uint8 (200, 1, 28, 28)."""
    assert model.config is not None
    return load_images(model.config.checked_recipe.data, "test").images[:200]


@pytest.fixture
def folder(glyphs: torch.Tensor, tmp_path: Path) -> Path:
    """Twelve pictures, some in a subfolder, of several sizes and modes, one of them damaged."""
    root = tmp_path / "pictures"
    (root / "deeper").mkdir(parents=True)
    for number, image in enumerate(glyphs[:12]):
        picture = to_pil_image(image).resize((28 + number, 28 + number))
        (picture.convert("RGB") if number % 3 else picture).save(
            root / ("deeper" if number % 2 else "") / f"{number:02}.png"
        )
    (root / "deeper" / "03.png").write_bytes(b"no picture")
    return root
