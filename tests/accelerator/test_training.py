"""On an accelerator no step waits for it, an epoch waits once, and nothing of the CPU is mixed in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.accelerator.device import DEVICE, Accelerator, MixedDevices, Waited, accelerator
from tests.helpers import SLOW_VARIANTS, costly_variants, slow_but_for, tiny_recipe_of, trainer
from zoo.datasets import load_images
from zoo.errors import ZooError
from zoo.objectives.elbo import ELBO
from zoo.registry import AUGMENTATIONS, NETWORKS, OBJECTIVES, OPTIMIZERS, VARIANTS
from zoo.runs.folder import load_folder
from zoo.schema.recipe import Recipe
from zoo.training import run_state
from zoo.training.optimizer import Optimizer
from zoo.training.progress import Progress
from zoo.training.run import run
from zoo.training.trainer import Trainer

torchs_cross_entropy = partial(F.binary_cross_entropy_with_logits, reduction="none")

START_OF_EPOCH_WAITS = 1
"""The order of the images is copied to the device, which has nothing else to do yet."""

END_OF_EPOCH_WAITS = 1
"""Everything that is read of the epoch."""

SNAPSHOT_WAITS = 2
"""The images of a snapshot are copied to the device and the reconstructions back, some ten times a run; of a
conditional model the labels as well, for its encoder and for its decoder."""


def recipe_of(variant: str, **sections: Any) -> Recipe:
    """A recipe of two epochs of three steps, the last on fewer images; the last epoch takes a snapshot."""
    usual = {
        "data": {"name": "tiny", "train_images": 40, "test_images": 20},
        "training": {"epochs": 2, "batch_size": 16},
    }
    execution = {"snapshot_epochs": 9, "graph": "off", "compile": "off"} | sections.pop("execution", {})
    return tiny_recipe_of(variant, **usual | sections, execution=execution)


def train_on(device: Accelerator, recipe: Recipe) -> tuple[Trainer, list[list[str]]]:
    """Train on the accelerator, where a wait in a step is an error; return the waits of each epoch, too."""
    found = Trainer(recipe, load_images(recipe.data, "train"), load_images(recipe.data, "test"), DEVICE)
    found.prepare()
    assert found.runner
    take_steps, waits = found.runner.run, []

    def take_without_waits(steps: int, images: int) -> None:
        with device.without_waits():
            take_steps(steps, images)

    found.runner.run = take_without_waits  # type: ignore[method-assign]
    while not found.done:
        before = len(device.waits)
        found.run_epoch()
        waits.append(device.waits[before:])
    return found, waits


def check(recipe: Recipe, relative: float = 1e-5) -> None:
    """Check the training of a recipe: its waits, its devices, and that it learns what it learns on the CPU.

    Args:
        recipe: the recipe.
        relative: how far the losses may lie apart; the weights are compared only with the default.

    Raises:
        ZooError: the objective does not fit the variant.
    """
    expected = trainer(recipe)
    with mock.patch("zoo.likelihoods.bernoulli.binary_cross_entropy", torchs_cross_entropy):  # as off the CPU
        while not expected.done:
            expected.run_epoch()
    with accelerator() as device:
        found, waits = train_on(device, recipe)
        usual, snapshot = START_OF_EPOCH_WAITS + END_OF_EPOCH_WAITS, SNAPSHOT_WAITS + 2 * bool(found.model.classes)
        assert [len(epoch) for epoch in waits] == [usual, usual + snapshot], waits
        trained = {name: weight.cpu() for name, weight in found.model.state_dict().items()}
    assert [row["test"] for row in found.history] == [
        pytest.approx(row["test"], rel=relative, abs=relative / 10) for row in expected.history
    ]
    for name, weight in expected.model.state_dict().items() if relative == 1e-5 else ():
        torch.testing.assert_close(trained[name], weight)


EXACT = ("elbo", "reconstruction")
"""The objectives whose steps do not enlarge what is rounded; those on a batch do, and take tiny steps."""


def combinations() -> list[Any]:
    """Every variant with every objective; the optimizers take turns, so that each meets each of both."""
    turns = OPTIMIZERS.names()
    return [
        slow_but_for(
            variant not in SLOW_VARIANTS or objective == VARIANTS.get(variant).objective,
            *(variant, objective, "adam" if objective in EXACT else turns[(row + column) % len(turns)]),
        )
        for row, variant in enumerate(VARIANTS.names())
        for column, objective in enumerate(OBJECTIVES.names())
    ]


@pytest.mark.parametrize(("variant", "objective", "optimizer"), combinations())
def test_no_step_of_any_variant_waits_with_any_objective_that_fits(
    variant: str, objective: str, optimizer: str
) -> None:
    rate = {} if objective in EXACT else {"learning_rate": 1e-8}
    try:
        check(
            recipe_of(variant, objective={"name": objective}, optimizer={"name": optimizer} | rate),
            1e-5 if objective in EXACT else 1e-3,
        )
    except ZooError:
        assert objective != VARIANTS.get(variant).objective


@pytest.mark.parametrize("optimizer", OPTIMIZERS.names())
def test_no_step_of_any_optimizer_waits(optimizer: str) -> None:
    section = {"name": optimizer, "learning_rate": 1e-4, "weight_decay": 0.01}
    check(recipe_of("linear_vae", optimizer=section), 1e-4 if optimizer == "radam" else 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS.names())
@pytest.mark.parametrize("variant", VARIANTS.names())
def test_no_step_of_any_variant_waits_with_any_optimizer(variant: str, optimizer: str) -> None:
    section = {"name": optimizer, "learning_rate": 1e-8}  # at which steps do not enlarge what is rounded
    check(recipe_of(variant, optimizer=section), relative=1e-3)


@pytest.mark.parametrize("network", NETWORKS.names())
def test_no_step_of_any_network_waits(network: str) -> None:
    data = {"name": "tiny", "train_images": 6, "test_images": 2, "side": 8}
    sections = {"data": data, "training": {"epochs": 2, "batch_size": 4}}
    try:
        check(recipe_of("vae", **sections, model={"variant": "vae", "network": {"name": network}}))
    except ZooError as error:
        assert "are a map" in str(error)  # for vq_vae, which is checked above


def test_no_step_of_any_augmentation_waits() -> None:
    augment = [{"name": name} for name in AUGMENTATIONS.names()]
    check(recipe_of("linear_vae", training={"epochs": 2, "batch_size": 16, "augment": augment}))


@pytest.mark.parametrize(
    "sections",
    [
        {"objective": {"name": "elbo", "annealing": {"name": "linear", "epochs": 2}}},
        {"objective": {"name": "elbo", "annealing": {"name": "cyclical", "period": 1}}},
        {"objective": {"name": "reconstruction", "distance": "nll"}},
        {"optimizer": {"name": "sgd", "learning_rate": 1e-4, "momentum": 0.9}},
        {"optimizer": {"name": "rmsprop", "momentum": 0.5, "schedule": {"name": "exponential", "gamma": 0.5}}},
        {"execution": {"convolutions": "gemm"}},
        {"execution": {"convolutions": "channels_last"}},
    ],
    ids=str,
)
def test_no_step_waits_with_other_settings(sections: dict[str, Any]) -> None:
    check(recipe_of("conv_vae", **sections))


def test_images_that_do_not_fit_on_the_device_are_copied_without_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_state, "to_device_if_it_fits", lambda images, device: images)
    with accelerator() as device:
        found, waits = train_on(device, recipe_of("conditional_vae"))
    test_batch = 2  # images and labels
    usual = END_OF_EPOCH_WAITS + test_batch
    assert [len(epoch) for epoch in waits] == [usual, usual + SNAPSHOT_WAITS + 2], waits


@pytest.mark.parametrize("variant", costly_variants(VARIANTS.names()))
def test_a_whole_run_can_be_stopped_and_resumed_on_the_device(variant: str, tmp_path: Path) -> None:
    """Checkpoints, the fit of the prior, metrics, figures and files at the end mix nothing, either."""
    recipe = recipe_of(variant, data={"name": "tiny", "train_images": 40, "test_images": 20, "binarization": "dynamic"})
    with accelerator(), Progress(silent=True) as progress:
        signals: list[int] = []
        first = run(recipe, tmp_path / "run", DEVICE, progress, signals)
        next(first)
        signals.append(2)
        with pytest.raises(KeyboardInterrupt):
            list(first)
        list(run(recipe, tmp_path / "run", DEVICE, progress, [], resume=True))
    assert load_folder(tmp_path / "run").config.hardware == str(DEVICE)


# --- what the checks find


def test_a_wait_in_an_objective_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    original = ELBO.forward

    def waiting(self: ELBO, *arguments: Any) -> Any:
        terms = original(self, *arguments)
        assert terms["loss"].item() > 0  # what must not be
        return terms

    monkeypatch.setattr(ELBO, "forward", waiting)
    with pytest.raises(Waited, match=r"test_training.py:\d+ .*what must not be"):
        check(recipe_of("linear_vae"))


def test_a_wait_in_an_optimizer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Optimizer.update

    def waiting(self: Optimizer, gradients: Any, *others: Any) -> Any:
        assert all(gradient.isfinite().all() for gradient in gradients)
        return original(self, gradients, *others)

    monkeypatch.setattr(Optimizer, "update", waiting)
    with pytest.raises(Waited, match=r"test_training.py:\d+ .*isfinite"):
        check(recipe_of("linear_vae"))


def test_a_wait_more_at_the_end_of_an_epoch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Trainer.end_epoch

    def waiting(self: Trainer) -> Any:
        assert float(self.means.sums[0]) > 0
        return original(self)

    monkeypatch.setattr(Trainer, "end_epoch", waiting)
    with pytest.raises(AssertionError, match="assert .3, 5. == .2, 4."):
        check(recipe_of("linear_vae"))


@pytest.mark.parametrize("planted", [torch.ones(16), torch.ones(1)], ids=["a batch", "one number"])
def test_a_cpu_tensor_in_an_objective_is_found(planted: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    original = ELBO.forward

    def mixing(self: ELBO, *arguments: Any) -> Any:
        terms = original(self, *arguments)
        return terms | {"loss": (terms["loss"] * planted).mean()}

    monkeypatch.setattr(ELBO, "forward", mixing)
    with pytest.raises(MixedDevices, match=r"aten.mul.Tensor got tensors of the accelerator and of the CPU"):
        check(recipe_of("linear_vae"))


def test_a_cpu_generator_in_a_model_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator()
    noise = lambda like: torch.randn(like.shape, device=like.device, generator=generator)  # noqa: E731
    monkeypatch.setattr(torch, "randn_like", noise)
    with pytest.raises(MixedDevices, match="expected a generator of privateuseone:0"):
        check(recipe_of("linear_vae"))
