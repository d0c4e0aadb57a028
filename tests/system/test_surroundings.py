"""The zoo in programs that have set torch otherwise: its default dtype, its modes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
import torch

import zoo
from tests.helpers import CPU, costly_variants, tiny_recipe_of, weights
from zoo.datasets import load_images
from zoo.entries.trained_model import TrainedModel
from zoo.figures import FigureContext, draw
from zoo.inference.image_stream import open_images
from zoo.metrics import EvalContext, evaluate
from zoo.registry import FIGURES
from zoo.tasks import encode, score
from zoo.training import train
from zoo.training.dry_run import dry_run

GLYPHS = {"name": "glyphs", "train_images": 200, "test_images": 50, "binarization": "dynamic"}


@pytest.fixture(params=["float64", "bfloat16", "no_grad", "inference", "autocast", "device"])
def surroundings(request: pytest.FixtureRequest) -> Iterator[str]:
    """Something that the program around the zoo has set."""
    with ExitStack() as stack:
        if request.param in ("float64", "bfloat16"):
            before = torch.get_default_dtype()
            stack.callback(torch.set_default_dtype, before)
            torch.set_default_dtype(getattr(torch, request.param))
        elif request.param == "no_grad":
            stack.enter_context(torch.no_grad())
        elif request.param == "inference":
            stack.enter_context(torch.inference_mode())
        elif request.param == "device":
            stack.enter_context(torch.device("meta"))  # where nothing can be computed by mistake
        else:
            stack.enter_context(torch.autocast("cpu", torch.bfloat16))
        yield request.param


@cache
def weights_elsewhere(variant: str, folder: Path) -> bytes:
    return weights(train(tiny_recipe_of(variant, data=GLYPHS), folder / variant, CPU))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture
def usual(variant: str, elsewhere: Path) -> bytes:
    """The weights of a variant that was trained in a program that has set nothing; before ``surroundings``."""
    return weights_elsewhere(variant, elsewhere)


@pytest.mark.parametrize("variant", costly_variants())
def test_a_training_gives_the_weights_that_it_gives_elsewhere(
    variant: str, usual: bytes, surroundings: str, tmp_path: Path
) -> None:
    assert weights(train(tiny_recipe_of(variant, data=GLYPHS), tmp_path / "run", CPU)) == usual


@pytest.mark.parametrize(
    "name",
    [
        "conv_vae_mnist",
        "bn_vae_mnist",
        "ae_mnist",
        "vq_vae_fashion_mnist",
        "conditional_vae_mnist",
    ],
)
def test_a_model_gives_the_images_that_it_gives_elsewhere(name: str, surroundings: str) -> None:
    model = zoo.load(name)
    assert {tensor.dtype for tensor in model.state_dict().values() if tensor.is_floating_point()} == {torch.float32}
    generator = torch.Generator("cpu").manual_seed(0)
    samples = model.sample(3, generator)
    assert samples.dtype == torch.float32 or surroundings == "autocast"
    assert samples.device == CPU
    assert model.sample(3).device == CPU
    x = torch.rand(3, 1, 28, 28, device="cpu", dtype=torch.float32)
    labels = torch.arange(3, device="cpu") if model.classes else None
    assert model.reconstruct(x, labels).shape == x.shape
    posterior = model.encode(x, labels)
    assert posterior.rsample(2).shape[:2] == (2, 3)
    model.decode(posterior.mean, labels).log_prob(x)


@pytest.fixture(scope="module")
def usual_report() -> str:
    """What a dry run says in a program that has set nothing."""
    return dry_run(tiny_recipe_of("vae", data=GLYPHS), CPU)


def test_a_dry_run_says_what_it_says_elsewhere(usual_report: str, surroundings: str) -> None:
    assert dry_run(tiny_recipe_of("vae", data=GLYPHS), CPU) == usual_report


@pytest.mark.slow
def test_what_is_measured_and_drawn_is_as_elsewhere(surroundings: str, tmp_path: Path) -> None:
    trained = TrainedModel("beta_vae_1_glyphs")
    model = trained.model
    data = trained.config.checked_recipe.data
    images = load_images(data, "test").first(300)
    found = evaluate(EvalContext(model, images, data, lambda: load_images(data, "train").first(500)))
    assert not found.lacking or set(found.lacking) <= {"fid"}, found.lacking
    for kind in FIGURES.names():
        try:
            draw(kind, FigureContext(trained))
        except zoo.errors.NotApplicable:
            pass
    next(score(model, open_images("glyphs", model), 3))
    encode(model, open_images("glyphs:1", model))
