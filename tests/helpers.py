"""Functions that the tests share: tiny recipes, commands in this process or another, real data where it is there."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from tests import plugin  # registers the dataset "tiny"  # noqa: F401
from zoo.cli.app import main
from zoo.datasets import data_folder, load_images
from zoo.models.build import build
from zoo.registry import DATASETS, VARIANTS, list_variants
from zoo.schema.base import DatasetConfig
from zoo.schema.recipe import Recipe, parse_recipe
from zoo.training.gemm_convolutions import Convolution
from zoo.training.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")
PLUGIN = ROOT / "tests" / "plugin.py"


def dataset(name: str, **settings: Any) -> DatasetConfig:
    """Return a dataset's settings."""
    config: DatasetConfig = DATASETS.get(name).config(**settings)
    return config


def tiny_fields(**sections: Any) -> dict[str, Any]:
    """Return the fields of a recipe that trains in a second; keyword arguments replace whole sections."""
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


def tiny_model(variant: str) -> dict[str, Any]:
    """Return the model section of a variant in the size that it states for tests."""
    return {"variant": variant, **VARIANTS.get(variant).tiny}


def usual_objective(variant: str) -> dict[str, Any]:
    """Return the objective section that a variant is usually trained with."""
    return {"name": VARIANTS.get(variant).objective}


def tiny_recipe_of(variant: str, **sections: Any) -> Recipe:
    """Return a recipe that trains a variant, in its tiny size and with its usual objective, in a second."""
    return tiny_recipe(**{"model": tiny_model(variant), "objective": usual_objective(variant)} | sections)


def traits(variant: str) -> set[str]:
    """Return what trainer, tasks and figures can see of a variant's structure, in its tiny size."""
    model = build(tiny_recipe_of(variant)).eval()
    with torch.random.fork_rng(), torch.no_grad():
        posterior = model.given(torch.zeros(1, dtype=torch.int64)).encode(torch.zeros(1, *model.image_shape))
    layers = [*model.encoder.modules(), *model.decoder.modules()]
    found = {
        "conditional": bool(model.classes),
        "stochastic": posterior.stochastic,
        "deterministic": not posterior.stochastic,
        "fitted prior": model.prior.fitted,
        "discrete codes": bool(model.prior.num_codes),
        "weights of the prior": any(True for _ in model.prior.parameters()),
        "convolutions": any(isinstance(layer, Convolution) for layer in layers),
        "no convolutions": not any(isinstance(layer, Convolution) for layer in layers),
        "running statistics": any(True for layer in layers for _ in layer.buffers()),
    }
    return {trait for trait, has in found.items() if has}


def representatives(lacking: dict[str, set[str]]) -> set[str]:
    """Return a few of the variants, whose traits are given, that have every trait between them."""
    chosen: set[str] = set()
    while any(lacking.values()):
        best = max(lacking, key=lambda variant: len(lacking[variant]))  # the first of those with most
        seen = lacking[best]
        chosen.add(best)
        lacking = {variant: rest - seen for variant, rest in lacking.items()}
    return chosen


SLOW_VARIANTS = set(SHIPPED_VARIANTS) - representatives({variant: traits(variant) for variant in SHIPPED_VARIANTS})
"""The variants whose costly tests are ``slow``, since others with the same traits are tested in every run."""


def slow_but_for(quick: bool, *values: Any) -> Any:
    """Return a test's parameters, which are ``slow`` unless they are ``quick``."""
    return pytest.param(*values, marks=() if quick else pytest.mark.slow)


def costly_variants(variants: Iterable[str] = SHIPPED_VARIANTS) -> list[Any]:
    """Return the variants as parameters of a test that takes more than some 0.05 s for each of them.

    Of the shipped ones all but the representatives are ``slow``; what a user registers is always tested.
    """
    return [slow_but_for(variant not in SLOW_VARIANTS, variant) for variant in variants]


def trainer(recipe: Recipe) -> Trainer:
    return Trainer(recipe, load_images(recipe.data, "train"), load_images(recipe.data, "test"), CPU)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def command(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``zoo VERB ...`` in this process: what it prints and its exit code, as from a process of its own."""
    words = list(map(str, arguments))
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd or ROOT),
        mock.patch.dict(os.environ, environment),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("always")
        try:
            main(words)
        except SystemExit as exit:
            code = exit.code if isinstance(exit.code, int) else 0 if exit.code is None else 1
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def process(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m zoo VERB ...`` as a user would, where a process of its own proves something more."""
    return python("-m", "zoo", *arguments, cwd=cwd, **environment)


def python(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python ...`` in a process of its own."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd or ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def seconds_that_count(wall: float, processor: float) -> float:
    """Return how long something took, where others keep the machine busy without the time spent waiting for it."""
    return processor if os.getloadavg()[0] >= (os.cpu_count() or 1) else wall


needs_mnist = pytest.mark.skipif(
    not (data_folder() / "MNIST" / "raw" / "t10k-images-idx3-ubyte").is_file(),
    reason=f"needs real data: no MNIST under {data_folder()} (set ZOO_DATA)",
)
needs_fashion_mnist = pytest.mark.skipif(
    not (data_folder() / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").is_file(),
    reason=f"needs real data: no Fashion-MNIST under {data_folder()} (set ZOO_DATA)",
)


def unproxied(request: urllib.request.Request, timeout: float) -> Any:
    """Open an address of this machine; ``urlopen`` keeps the proxies that the environment named at its first call."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout)
