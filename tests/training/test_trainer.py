"""The loop: repeatable, learning, and clear when it diverges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch.nn.modules.batchnorm import _BatchNorm

from tests.helpers import CPU, SHIPPED_VARIANTS, tiny_model, tiny_recipe, tiny_recipe_of, trainer, weights
from zoo.datasets import ImageSet, load_images
from zoo.errors import ZooError
from zoo.inference.loops import epoch_permutation
from zoo.inference.running_means import RunningMeans
from zoo.models.build import build
from zoo.registry import OPTIMIZERS, SCHEDULES
from zoo.schema.recipe import Recipe
from zoo.system.prefetch import prefetch
from zoo.training.batches import DeviceLoader, StreamingLoader, batch_sizes, equal_batches, to_device_if_it_fits
from zoo.training.checkpoint import read_checkpoint
from zoo.training.divergence import Divergence
from zoo.training.run import train
from zoo.training.trainer import Trainer

StepSchedule, ExponentialSchedule, CosineSchedule, StaircaseSchedule = (
    SCHEDULES.get(name).config for name in ("step", "exponential", "cosine", "staircase")
)


def trained(recipe: Recipe) -> Trainer:
    found = trainer(recipe)
    while not found.done:
        found.run_epoch()
    return found


# --- repeatable -------------------------------------------------------------------------------------------------------


def bits(trained: Trainer) -> bytes:
    return save(trained.model.state_dict())


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_the_same_recipe_gives_the_same_bits_twice(variant: str) -> None:
    recipe = tiny_recipe_of(variant)
    first, second = trained(recipe), trained(recipe)
    assert bits(first) == bits(second)
    other = tiny_recipe_of(variant, training={"epochs": 2, "batch_size": 50, "seed": 1})
    assert bits(trained(other)) != bits(first)


def test_the_same_recipe_gives_the_same_file_twice(tmp_path: Path) -> None:
    recipe = tiny_recipe_of("bn_vae")
    first, second = (train(recipe, tmp_path / name, CPU) for name in ("a", "b"))
    assert weights(first) == weights(second)


def test_measuring_the_test_images_does_not_change_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe()
    plain = trainer(recipe)
    plain.run_epoch()
    plain.run_epoch()
    unmeasured = trainer(recipe)
    monkeypatch.setattr(unmeasured.evaluation, "run", lambda epoch: RunningMeans(CPU))
    unmeasured.run_epoch()
    unmeasured.run_epoch()
    for first, second in zip(plain.model.parameters(), unmeasured.model.parameters(), strict=True):
        assert torch.equal(first, second)


def test_the_order_is_a_permutation_of_its_own_for_every_epoch_and_seed() -> None:
    orders = [epoch_permutation(1000, seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert all(torch.equal(order.sort().values, torch.arange(1000)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 6
    assert torch.equal(epoch_permutation(1000, 1, 2), orders[-1])


def test_batches_cover_the_epoch_once_whether_resident_or_streamed() -> None:
    images = torch.arange(23, dtype=torch.uint8).reshape(23, 1, 1, 1)
    order = epoch_permutation(23, 0, 0)
    sizes = batch_sizes(23, 5)
    assert sizes == [5, 5, 5, 5, 3]
    for loader in (DeviceLoader(ImageSet(images), 5), StreamingLoader(ImageSet(images), 5, CPU)):
        for skip in (0, 3):
            loader.start(order, skip)
            found = []
            for step, size in list(enumerate(sizes))[skip:]:
                loader.next()
                found.append(loader.batch(torch.tensor(step), size)[0].clone())
            assert torch.cat(found).flatten().tolist() == order[5 * skip :].tolist()


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_a_run_has_the_same_bits_whether_its_images_are_resident_or_streamed(variant: str) -> None:
    recipe = tiny_recipe_of(variant)
    resident, streamed = trainer(recipe), trainer(recipe)
    streamed.loader = streamed.take_step.loader = StreamingLoader(streamed.train_set, 50, CPU)
    for found in (resident, streamed):
        while not found.done:
            found.run_epoch()
    for name, value in resident.model.state_dict().items():
        assert torch.equal(value, streamed.model.state_dict()[name]), name


def test_portions_are_of_equal_batches_and_not_too_long() -> None:
    assert list(equal_batches([5, 5, 5, 3], 2)) == [(2, 5), (1, 5), (1, 3)]
    assert list(equal_batches([5, 6], 8)) == [(1, 5), (1, 6)]
    assert list(equal_batches([], 8)) == []


def test_a_single_image_at_the_end_joins_the_batch_before_it() -> None:
    # BatchNorm cannot normalise one image: 101 images in batches of 50 would end in a traceback.
    assert batch_sizes(101, 50) == [50, 51]
    assert batch_sizes(1, 50) == [1]
    assert batch_sizes(3, 1) == [1, 1, 1]
    assert batch_sizes(104, 50, least=4) == [50, 50, 4]
    assert batch_sizes(103, 50, least=4) == [50, 53]
    found = trainer(tiny_recipe_of("bn_vae", data={"name": "tiny", "train_images": 101}))
    assert found.run_epoch()
    assert (found.step, found.epoch) == (2, 1)


@pytest.mark.parametrize("section", [{"training": {"epochs": 1, "batch_size": 1}}, {"data": {"train_images": 1}}])
def test_batchnorm_with_one_image_a_batch_is_refused(section: dict[str, Any]) -> None:
    sections = section | {"data": {"name": "tiny"} | section.get("data", {})}
    for variant in SHIPPED_VARIANTS:
        recipe = tiny_recipe_of(variant, **sections)
        if not any(isinstance(layer, _BatchNorm) for layer in build(recipe).modules()):
            trainer(recipe)
            continue
        with pytest.raises(ZooError, match="BatchNorm needs at least two images"):
            trainer(recipe)


def test_with_cyclical_annealing_the_test_loss_has_the_weight_of_the_last_step() -> None:
    annealing = {"name": "cyclical", "period": 1, "rise": 1.0}
    found = trainer(tiny_recipe(objective={"name": "elbo", "annealing": annealing}))
    row = found.run_epoch()
    assert row
    last = (found.steps_per_epoch - 1) / found.steps_per_epoch
    terms = row["test"]
    assert terms["loss"] == pytest.approx(terms["reconstruction"] + last * terms["kl"], rel=1e-5)


def test_an_error_while_streaming_reaches_the_trainer() -> None:
    def broken() -> Iterator[torch.Tensor]:
        yield torch.zeros(1)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(prefetch(broken()))


def test_images_stay_where_they_are_on_the_cpu() -> None:
    data = ImageSet(torch.zeros(3, 1, 2, 2, dtype=torch.uint8))
    assert to_device_if_it_fits(data, CPU) is data


# --- it learns, whatever the optimizer --------------------------------------------------------------------------------


SETTINGS: dict[str, dict[str, Any]] = {
    "adamw": {"weight_decay": 0.1},
    "sgd": {"learning_rate": 1e-4, "momentum": 0.9},
    "rmsprop": {"momentum": 0.5},
}
"""Other settings than an optimizer's defaults."""


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_lowers_the_loss(name: str) -> None:
    optimizer = {"name": name, **SETTINGS.get(name, {})}
    found = trainer(tiny_recipe(optimizer=optimizer, training={"epochs": 4, "batch_size": 50}))
    rows = [found.run_epoch() for _ in range(4)]
    assert rows[0] and rows[-1]
    assert rows[-1]["train"]["loss"] < rows[0]["train"]["loss"]
    assert rows[-1]["test"]["loss"] < rows[0]["test"]["loss"]


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_schedule_begins_at_the_learning_rate_and_never_exceeds_it(name: str) -> None:
    settings = {"step": {"every": 2}, "exponential": {"gamma": 0.9}}.get(name, {})
    factors = [SCHEDULES.get(name).config(**settings).factor(epoch, 12) for epoch in range(12)]
    assert factors[0] == 1
    assert all(0 < factor <= 1 for factor in factors)


def test_learning_rate_schedules() -> None:
    assert [StepSchedule(every=2, gamma=0.5).factor(e, 6) for e in range(6)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert [ExponentialSchedule(gamma=0.5).factor(e, 3) for e in range(3)] == [1, 0.5, 0.25]
    cosine = [CosineSchedule(floor=0.1).factor(e, 10) for e in range(11)]
    assert cosine[0] == 1
    assert cosine[5] == pytest.approx(0.55)
    assert cosine[10] == pytest.approx(0.1)
    assert cosine == sorted(cosine, reverse=True)


def test_the_staircase_is_that_of_burda_et_al() -> None:
    # Stage i: 3^i epochs at 0.001 * 10^(-i/7), i = 0 ... 7; together 3,280 epochs.
    expected = [10 ** (-i / 7) for i in range(8) for _ in range(3**i)]
    found = [StaircaseSchedule().factor(epoch, 3280) for epoch in range(3280)]
    assert found == pytest.approx(expected)
    shorter = [StaircaseSchedule(stages=2, growth=1.0, floor=0.5).factor(epoch, 6) for epoch in range(6)]
    assert shorter == [1, 1, 1, 0.5, 0.5, 0.5]


def test_the_schedule_reaches_the_optimizer() -> None:
    schedule = {"name": "exponential", "gamma": 0.5}
    recipe = tiny_recipe(optimizer={"name": "sgd", "learning_rate": 1e-4, "schedule": schedule})
    found = trainer(recipe)
    rates = [row["learning_rate"] for row in (found.run_epoch(), found.run_epoch()) if row]
    assert rates == [1e-4, 5e-5]
    assert found.optimizer.rate.item() == pytest.approx(5e-5)


def test_the_rows_are_means_over_all_images_also_with_a_short_last_batch() -> None:
    recipe = tiny_recipe(
        optimizer={"name": "sgd", "learning_rate": 1e-12},
        model=tiny_model("ae"),
        objective={"name": "reconstruction"},
        training={"epochs": 1, "batch_size": 100},
    )  # a learning rate so small that all batches meet the same weights
    found = trainer(recipe)
    row = found.run_epoch()
    assert row
    x = load_images(recipe.data, "train").images.float() / 255
    expected = (x - found.model.reconstruct(x)).square().flatten(1).sum(1).mean().item()
    assert row["train"]["loss"] == pytest.approx(expected, rel=1e-5)


def test_dropout_and_batchnorm_train_in_training_and_rest_in_tests() -> None:
    found = trainer(tiny_recipe_of("bn_vae", execution={"snapshot_epochs": 2}))
    modes: list[bool] = []
    found.model.register_forward_pre_hook(lambda *_: None)
    found.model.encoder.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    found.run_epoch()
    assert modes == [True] * 5 + [False]


# --- divergence -------------------------------------------------------------------------------------------------------


def test_divergence_names_the_step_the_term_and_the_last_good_checkpoint(tmp_path: Path) -> None:
    recipe = tiny_recipe(optimizer={"name": "sgd", "learning_rate": 1e6}, training={"epochs": 5, "batch_size": 50})
    with pytest.raises(Divergence, match=r"the term '(kl|reconstruction)' .* at step \d+ \(epoch 1\); .*step 0, is"):
        train(recipe, tmp_path / "run", CPU)


def test_a_later_divergence_keeps_the_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(training={"epochs": 5, "batch_size": 50}, execution={"checkpoint_epochs": 1})
    original = Trainer.train_steps

    def breaking(self: Trainer) -> Any:
        if self.epoch == 2:
            next(self.model.parameters()).data.fill_(float("nan"))
        return original(self)

    monkeypatch.setattr(Trainer, "train_steps", breaking)
    with pytest.raises(Divergence, match=r"step 11 \(epoch 3\); the last good checkpoint, step 10, is .*safetensors"):
        train(recipe, tmp_path / "run", CPU)
    state = read_checkpoint(tmp_path / "run.partial" / "checkpoint.safetensors")
    assert state["step"] == 10
    assert all(torch.isfinite(value).all() for value in state["model"].values())


def test_weights_that_break_in_the_last_step_are_noticed() -> None:
    found = trainer(tiny_recipe(training={"epochs": 1, "batch_size": 230}))
    update = found.optimizer.update

    def breaking(*arguments: Any) -> Any:
        logged = update(*arguments)
        next(found.model.parameters()).data.fill_(float("inf"))
        return logged

    found.optimizer.update = breaking  # type: ignore[method-assign]
    with pytest.raises(Divergence, match=r"the weights were no longer finite at step 1 \(epoch 1\)"):
        found.run_epoch()


def test_an_evaluation_takes_smaller_batches_where_memory_does_not_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    found = trainer(tiny_recipe())
    evaluation, sizes = found.evaluation, list[int]()
    expected = evaluation.run(0.0).read().means()
    objective = evaluation.objective

    def hungry(model: Any, x: torch.Tensor, epoch: torch.Tensor) -> Any:
        sizes.append(len(x))
        if len(x) > 12:
            raise torch.OutOfMemoryError("no room")
        return objective(model, x, epoch)

    monkeypatch.setattr(evaluation, "objective", hungry)
    evaluation.usual_batch, evaluation.batch = 10, 4 * 10
    assert evaluation.run(0.0).read().means() == pytest.approx(expected, rel=0.05)  # other noise
    assert evaluation.batch == 10 and sizes[:3] == [40, 20, 10]
    assert found.state()["test_batch"] == 10
    monkeypatch.setattr(evaluation, "usual_batch", 20)
    evaluation.batch = 20
    with pytest.raises(torch.OutOfMemoryError):
        evaluation.run(0.0)
