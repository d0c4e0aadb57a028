"""An objective is set up once with model, shape and number of images, wherever it is built; what it owns is trained."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from tests.helpers import CPU, tiny_recipe, trainer
from zoo.models.autoencoder import Model
from zoo.objectives import Objective, Terms
from zoo.registry import OBJECTIVES, register_objective
from zoo.schema.base import ImageShape, ObjectiveConfig
from zoo.schema.recipe import Recipe
from zoo.training.dry_run import check_step, dry_run
from zoo.training.stack import stacked_runner

CALLS: list[tuple[int, ImageShape, int]] = []


class OwningConfig(ObjectiveConfig):
    """An objective with a layer and a counter of its own."""

    name: Literal["owning"] = "owning"


class Owning(Objective):
    """Learns to tell codes from noise, with a layer that it makes when it knows how long codes are."""

    def __init__(self, config: OwningConfig) -> None:
        super().__init__()

    def setup(self, model: Model, shape: ImageShape, images: int) -> None:
        CALLS.append((model.prior.latent_dim, shape, images))
        self.layer = nn.Linear(model.prior.latent_dim, 1)
        self.register_buffer("images", torch.tensor(float(images)))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        if self.training:
            self.steps.add_(1)
        loss = self.layer(model.encode(x).rsample()).square().mean() + (self.layer.bias - 1).square().mean()
        return {"loss": loss, "images": self.images, "steps": self.steps.clone()}


@pytest.fixture(autouse=True)
def owning(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registers the objective for one test."""
    monkeypatch.setattr(OBJECTIVES, "_registered", dict(OBJECTIVES._registered))
    register_objective(config=OwningConfig)(Owning)
    CALLS.clear()
    yield


def recipe(seed: int = 0, images: int | None = None) -> Recipe:
    return tiny_recipe(
        objective={"name": "owning"},
        optimizer={"name": "sgd", "learning_rate": 1e-3},
        data={"name": "tiny", "train_images": images},
        training={"epochs": 2, "batch_size": 50, "seed": seed},
    )


def test_every_place_that_builds_an_objective_sets_it_up() -> None:
    trainer(recipe())
    trainer(recipe(images=100))
    assert CALLS == [(4, (1, 28, 28), 230), (4, (1, 28, 28), 100)]
    CALLS.clear()
    check_step(recipe(images=100))
    assert "in 2 epochs" in dry_run(recipe(images=100), CPU)
    assert CALLS == [(4, (1, 28, 28), 100)] * 2
    CALLS.clear()
    check_step(recipe())  # this dataset does not say how many images it has: as many as a batch
    assert CALLS == [(4, (1, 28, 28), 50)]


def test_modules_of_an_objective_are_float32_whatever_the_default_is() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        made = trainer(recipe())
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(parameter.dtype is torch.float32 for parameter in made.objective.parameters())


def test_what_an_objective_owns_is_trained_and_goes_on_from_a_checkpoint_to_the_same_bits() -> None:
    whole = trainer(recipe())
    fresh = deepcopy(whole.objective.state_dict())
    whole.run_epoch()
    state = deepcopy(whole.state())
    row = whole.run_epoch()
    assert row["train"]["images"] == 230
    assert whole.objective.steps.item() == 2 * 5  # type: ignore[operator, union-attr]
    assert all(
        not torch.equal(tensor, fresh[name])
        for name, tensor in whole.objective.state_dict().items()
        if name != "images"
    )
    resumed = trainer(recipe())
    resumed.restore(state)
    resumed.run_epoch()
    for name, tensor in whole.objective.state_dict().items():
        assert torch.equal(tensor, resumed.objective.state_dict()[name]), name


def test_seeds_that_are_trained_as_one_model_have_layers_of_their_own() -> None:
    stacked, alone = ([trainer(recipe(seed)) for seed in (0, 1)] for _ in range(2))
    runner = stacked_runner(stacked)
    for made in (*stacked, *alone):
        made.loader.start(made.order(), 0)
    with stacked[0].context.active():
        runner.run(2, 50)
    for made in alone:
        with made.context.active():
            made.take_step(50)
            made.take_step(50)
    first, second = (made.objective.state_dict() for made in stacked)
    assert not torch.equal(first["layer.weight"], second["layer.weight"])
    for made, other in zip(stacked, alone, strict=True):
        for name, tensor in other.objective.state_dict().items():
            torch.testing.assert_close(
                made.objective.state_dict()[name], tensor, msg=lambda text, name=name: name + text
            )
