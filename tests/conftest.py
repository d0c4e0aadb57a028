"""Fixtures that the tests share."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.transforms.functional import to_pil_image

import zoo
import zoo.training.drawing
from tests.helpers import CPU, tiny_fields, tiny_recipe, tiny_recipe_of
from tests.hub.server import StandInHub, stand_in_hub
from tests.sketches import Sketches
from zoo.cli._common import import_files
from zoo.datasets import load_images
from zoo.hub.cache import warn_unpinned
from zoo.models import Autoencoder
from zoo.training import train
from zoo.training.drawing import drawn_here

if "PYTEST_XDIST_WORKER" in os.environ:  # pytest -n: as many tests at a time as there are cores, each on one of them
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--import", dest="imports", action="append", default=[], metavar="FILE.py", help="register first")


def pytest_configure(config: pytest.Config) -> None:
    """Registers what users' own files hold, so that the tests of all that is registered check it, too."""
    import_files(config.getoption("imports"))


@pytest.fixture
def recipe_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny recipe and returns its path."""

    def write(**sections: Any) -> Path:
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps(tiny_fields(**sections)))
        return path

    return write


@pytest.fixture(scope="module", autouse=True)
def frozen_modules() -> None:
    """Spare the collector what is imported by now: half a second in each full round, and runs ask for many."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def sketches() -> Iterator[None]:
    """Runs in this process end with sketches in place of figures; ``real_figures`` gives a test the figures back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo.training.drawing, "drawn_here", Sketches.drawn)
        yield


@pytest.fixture
def real_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end with the figures that users get."""
    monkeypatch.setattr(zoo.training.drawing, "drawn_here", drawn_here)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run folder, with its real figures; copy it before changing it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo.training.drawing, "drawn_here", drawn_here)
        return train(tiny_recipe(), tmp_path_factory.mktemp("runs") / "tiny_vae", CPU)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Trains a variant in its tiny size, once for all tests; returns the run folder, to be copied before a change."""
    folder = tmp_path_factory.mktemp("tiny_runs")

    def run(variant: str) -> Path:
        out = folder / variant
        return out if out.exists() else train(tiny_recipe_of(variant), out, CPU)

    return run


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


@pytest.fixture
def serves_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The explorer is ready, and ends at once."""
    monkeypatch.setattr("zoo.explorer.server.serve", lambda session, listening, address: None)


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
    """Twelve image files, some in a subfolder, of several sizes and modes, one of them damaged."""
    root = tmp_path / "images"
    (root / "deeper").mkdir(parents=True)
    for number, image in enumerate(glyphs[:12]):
        pil = to_pil_image(image).resize((28 + number, 28 + number))
        (pil.convert("RGB") if number % 3 else pil).save(root / ("deeper" if number % 2 else "") / f"{number:02}.png")
    (root / "deeper" / "03.png").write_bytes(b"no image")
    return root
