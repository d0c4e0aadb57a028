"""On an accelerator every family of metrics, every kind of figure and every task does what it does on the CPU."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pytest
import torch

import zoo.tasks
from tests.accelerator.device import DEVICE, MixedDevices, accelerator
from tests.helpers import CPU, SLOW_VARIANTS, costly_variants, tiny_model, tiny_recipe
from zoo.datasets import load_images
from zoo.entries.loading import load
from zoo.entries.trained_model import TrainedModel
from zoo.errors import NotApplicable
from zoo.figures import FigureContext, FigureOptions, draw
from zoo.inference.image_stream import of_dataset
from zoo.metrics import EvalContext, disentanglement, evaluate, families, fid, speed
from zoo.models import Autoencoder
from zoo.models.build import build
from zoo.plotting.canvas import to_pixels
from zoo.registry import FIGURES, VARIANTS
from zoo.tasks import anomaly, compression, depths, exporting, features, imputation, sklearn
from zoo.training import train

FLAT = "flat"
"""A model with a two-dimensional code, as maps need it."""

NAMES = [*(variant for variant in VARIANTS.names() if variant not in SLOW_VARIANTS), FLAT]
"""A few models that have between them all that figures can see of one."""


def on_device(model: Autoencoder) -> Autoencoder:
    """Return the model on the accelerator, with its config."""
    moved: Autoencoder = model.to(DEVICE)
    return moved


# --- metrics


def inception() -> Any:
    """torchmetrics' FID in a network that need not be downloaded."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Means(torch.nn.Module):
        num_features = 6

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.float() / 255
            return torch.cat([x.mean(dim=(2, 3)), x.std(dim=(2, 3))], dim=1)

    return FrechetInceptionDistance(feature=Means(), input_img_size=(3, 4, 4))


def measured(variant: str, device: torch.device, family: str) -> tuple[dict[str, float], dict[str, str]]:
    """What a family measures of an untrained model, and why not."""
    recipe = tiny_recipe(data={"name": "glyphs", "train_images": 150, "test_images": 150}, model=tiny_model(variant))
    torch.manual_seed(0)
    model = build(recipe).to(device)
    reference = partial(load_images, recipe.data, "train")
    context = EvalContext(model, load_images(recipe.data, "test"), recipe.data, reference)
    found = evaluate(context, [family], samples=3)
    return found.metrics, found.lacking


@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["representatives", "every variant"]
)
@pytest.mark.parametrize("family", families())
def test_every_family_of_metrics_measures_the_same(family: str, every: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fid, "inception", inception)
    monkeypatch.setattr(speed, "MIN_SECONDS", 0)
    for score in ("mutual_information_gap", "separated_attribute_predictability", "factor_vae_score"):
        monkeypatch.setattr(disentanglement, score, lambda codes, *rest: codes.std())  # slow, and NumPy's alone
    monkeypatch.setattr(disentanglement, "dci", lambda codes, *rest: codes.mean(axis=0)[:3])
    measurable = []
    for variant in VARIANTS.names():
        if not every and variant in SLOW_VARIANTS:
            continue
        expected, lacking = measured(variant, CPU, family)
        with accelerator():
            found, found_lacking = measured(variant, DEVICE, family)
        assert (found.keys(), found_lacking) == (expected.keys(), lacking)
        if family != "speed":
            assert found == pytest.approx(expected, rel=1e-4)
        measurable += found
    assert measurable


# --- figures


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Trains the tiny model of a variant, or the flat one, when it is first asked for."""
    folder = tmp_path_factory.mktemp("runs")

    def run(name: str) -> Path:
        flat = {"variant": "linear_vae", "hidden": [16], "latent_dim": 2}
        model = flat if name == FLAT else tiny_model(name)
        objective = "elbo" if name == FLAT else VARIANTS.get(name).objective
        training = {"epochs": 1, "batch_size": 50}
        recipe = tiny_recipe(name=name, model=model, objective={"name": objective}, training=training)
        return folder / name if (folder / name).exists() else train(recipe, folder / name, CPU)

    return run


def figure(kind: str, run: Path, device: torch.device) -> Any:
    """A figure; None where the model has nothing of the kind."""
    trained = TrainedModel(run)
    trained.model.to(device)
    at = ((0.5,) * trained.model.prior.latent_dim,)
    try:
        return draw(kind, FigureContext(trained, FigureOptions(count=6, at=at)))
    except NotApplicable:
        return None


@pytest.mark.parametrize("kind", FIGURES.names())
def test_every_kind_of_figure_is_drawn(kind: str, run_of: Callable[[str], Path]) -> None:
    runs = [run_of(name) for name in ("conditional_vae", "vq_vae", FLAT)]
    with accelerator():
        drawn = [figure(kind, run, DEVICE) for run in runs]
    assert any(drawn)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", FIGURES.names())
def test_every_kind_of_figure_shows_the_same(kind: str, name: str, run_of: Callable[[str], Path]) -> None:
    expected = figure(kind, run_of(name), CPU)
    with accelerator():
        found = figure(kind, run_of(name), DEVICE)
    assert (found is None) == (expected is None)
    if expected is not None:
        assert np.mean(to_pixels(found) != to_pixels(expected)) < 0.01


# --- tasks


def scores(model: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> Any:
    samples = 3 if model.given(torch.zeros(1).long()).encode(torch.zeros(1, 1, 28, 28)).stochastic else 0
    assert model.config
    (scored,) = anomaly.score(model, of_dataset(model.config.checked_recipe.data, "test"), samples)
    return scored.scores


def compressed(model: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> Any:
    assert model.config
    done = compression.compress(model, of_dataset(model.config.checked_recipe.data, "test"))
    (images,) = compression.decompress(zoo.tasks.unpack(done.content), model)
    return {"content": torch.tensor(list(done.content)), "images": images.cpu()}


def exported(model: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Tracing is left out: here it matters that whatever is traced is on the CPU."""
    outputs: dict[str, torch.Tensor] = {}

    def write(part: Any, inputs: Any, facts: dict[str, str]) -> bytes:
        torch.manual_seed(0)
        outputs[facts["part"]] = part(*exporting.example(part))
        return b""

    monkeypatch.setitem(exporting.WRITERS, "torch", write)
    exporting.export(model, Path("exported"), "torch")
    return outputs


def encoded(model: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> Any:
    assert model.config
    found = features.encode(model, of_dataset(model.config.checked_recipe.data, "test"))
    return {"codes": torch.from_numpy(found.codes)}


def shallow(model: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> Any:
    assert model.config
    if not depths(model):
        return {}
    images = of_dataset(model.config.checked_recipe.data, "test")
    return {"features": torch.from_numpy(features.encode(model, images, depth=1).codes)}


def imputed(model: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> Any:
    assert model.config
    images = load_images(model.config.checked_recipe.data, "test").first(5)
    x = images.images.float() / 255
    observed = imputation.dropped(tuple(x.shape), 0.5, torch.Generator().manual_seed(0))
    on_the_device = imputation.impute(model.given(images.labels), x.to(model.device), observed)
    on_the_cpu = imputation.impute(model.given(images.labels), x, observed)
    return {"images": on_the_device.cpu(), "CPU images": on_the_cpu}


def transformed(model: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sklearn, "load", lambda *arguments: model)
    encoder, x = sklearn.Encoder("a model"), np.random.default_rng(0).random((5, 784), np.float32)
    if model.classes:
        return {}  # it needs labels, which scikit-learn does not give
    codes = encoder.fit(x).transform(x)
    return {"codes": torch.from_numpy(codes), "images": torch.from_numpy(encoder.inverse_transform(codes))}


TASKS = {
    "anomaly": scores,
    "compression": compressed,
    "depths": shallow,
    "exporting": exported,
    "features": encoded,
    "imputation": imputed,
    "sklearn": transformed,
}


def test_every_task_is_checked() -> None:
    modules = {module.name for module in iter_modules(zoo.tasks.__path__) if not module.name.startswith("_")}
    assert modules == TASKS.keys() | {"code_file"}, "code_file reads and writes bytes"


@pytest.mark.parametrize("variant", costly_variants(VARIANTS.names()))
@pytest.mark.parametrize("task", TASKS)
def test_every_task_does_the_same_with_every_variant(
    task: str, variant: str, run_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = TASKS[task](load(run_of(variant)), monkeypatch)
    shutil.rmtree("exported", ignore_errors=True)
    with accelerator():
        found = TASKS[task](on_device(load(run_of(variant))), monkeypatch)
    torch.testing.assert_close(found, expected)


# --- what the checks find


def test_a_cpu_tensor_in_a_metric_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.metrics import pixels

    original = pixels.mean_squared_errors
    monkeypatch.setattr(pixels, "mean_squared_errors", lambda x, y: original(x, y) * torch.ones(len(x)))
    with accelerator(), pytest.raises(MixedDevices, match="aten.mul.Tensor"):
        measured("linear_vae", DEVICE, "pixels")


def test_a_cpu_tensor_in_a_task_is_found(run_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    original = anomaly.mean_squared_errors
    monkeypatch.setattr(anomaly, "mean_squared_errors", lambda x, y: original(x, y) * torch.ones(len(x)))
    with accelerator(), pytest.raises(MixedDevices, match="aten.mul.Tensor"):
        scores(on_device(load(run_of("linear_vae"))), monkeypatch)
