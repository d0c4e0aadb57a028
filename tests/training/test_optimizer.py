"""The optimizer section against torch's own optimizers, clipping, averaging and warm-up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.helpers import tiny_recipe, trainer
from zoo.errors import ZooError
from zoo.registry import OPTIMIZERS
from zoo.schema.base import OptimizerConfig
from zoo.schema.recipe import parse_recipe
from zoo.training.accumulation import parts_of
from zoo.training.optimizer import AVERAGE, GRADIENT_NORM, Optimizer
from zoo.training.parameter_names import matches
from zoo.training.state import copied
from zoo.training.trainer import Trainer

TORCH = {
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


def config_of(name: str, **settings: Any) -> OptimizerConfig:
    recipe = tiny_recipe(optimizer={"name": name, **settings})
    return recipe.optimizer


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3))


def gradients(model: nn.Module, step: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(p.shape, generator=generator) for p in model.parameters()]


def pair(config: OptimizerConfig, steps_per_epoch: int = 1) -> tuple[nn.Module, nn.Module, Optimizer]:
    ours, theirs = network(), network()
    return ours, theirs, Optimizer(config, ours.named_parameters(), steps_per_epoch)


def take(ours: nn.Module, theirs: nn.Module, optimizer: Optimizer, step: int) -> dict[str, Tensor]:
    """Give both models the gradients of a step, and ours a step."""
    found = gradients(ours, step)
    for parameter, gradient in zip(theirs.parameters(), found, strict=True):
        parameter.grad = gradient.clone()
    return optimizer.update(found, torch.tensor(step))


def check_equal(ours: nn.Module, theirs: nn.Module, rtol: float = 1e-6) -> None:
    for (name, own), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=rtol, atol=1e-7, msg=name)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_is_that_of_torch(name: str) -> None:
    ours, theirs, optimizer = pair(config_of(name, learning_rate=0.01, weight_decay=0.1))
    reference = TORCH[name](theirs.parameters(), lr=0.01, weight_decay=0.1)
    for step in range(8):  # RAdam begins to rectify in the sixth
        take(ours, theirs, optimizer, step)
        reference.step()
    check_equal(ours, theirs, rtol=1e-5)


def test_groups_are_the_parameter_groups_of_torch() -> None:
    groups = [
        {"parameters": ["0"], "learning_rate": 0.001},
        {"parameters": ["*.bias"], "learning_rate": 0.1, "weight_decay": 0.0},
    ]
    ours, theirs, optimizer = pair(config_of("adamw", learning_rate=0.01, weight_decay=0.1, groups=groups))
    first, norm, _, last = theirs  # type: ignore[misc]
    reference = torch.optim.AdamW(
        [
            {"params": [first.weight, first.bias], "lr": 0.001},
            {"params": [norm.bias, last.bias], "lr": 0.1, "weight_decay": 0.0},
            {"params": [norm.weight, last.weight]},
        ],
        lr=0.01,
        weight_decay=0.1,
    )
    for step in range(4):
        take(ours, theirs, optimizer, step)
        reference.step()
    check_equal(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("stacked", [False, True])
def test_only_matrices_decay_if_nothing_else_shall(stacked: bool) -> None:
    model = network()
    if stacked:
        for parameter in model.parameters():
            parameter.data = torch.stack([parameter.data] * 2)
    before = [parameter.clone() for parameter in model.parameters()]
    config = config_of("sgd", learning_rate=0.5, weight_decay=0.1, decay="matrices")
    optimizer = Optimizer(config, model.named_parameters(), stacked=stacked)
    optimizer.update([torch.zeros_like(p) for p in model.parameters()], torch.tensor(0))
    for (name, now), was in zip(model.named_parameters(), before, strict=True):
        torch.testing.assert_close(now, was * 0.95 if name in ("0.weight", "3.weight") else was)


@pytest.mark.parametrize("most", [0.5, 1e3])
def test_clipping_is_that_of_torch(most: float) -> None:
    ours, theirs, optimizer = pair(config_of("sgd", learning_rate=0.1, clip_norm=most))
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1)
    logged = take(ours, theirs, optimizer, 0)
    norm = nn.utils.clip_grad_norm_(theirs.parameters(), most)
    reference.step()
    torch.testing.assert_close(logged[GRADIENT_NORM], norm)
    check_equal(ours, theirs)


def test_each_of_several_stacked_models_is_clipped_by_its_own_norm() -> None:
    parameter = nn.Parameter(torch.zeros(2, 3))
    optimizer = Optimizer(config_of("sgd", learning_rate=1.0, clip_norm=1.0), [("w", parameter)], stacked=True)
    logged = optimizer.update([torch.tensor([[3.0, 4.0, 0.0], [0.3, 0.4, 0.0]])], torch.tensor(0))
    torch.testing.assert_close(logged[GRADIENT_NORM], torch.tensor([5.0, 0.5]))
    torch.testing.assert_close(-parameter.data, torch.tensor([[0.6, 0.8, 0.0], [0.3, 0.4, 0.0]]))


def test_warm_up_is_the_linear_schedule_of_torch_before_the_recipes_own() -> None:
    schedule = {"name": "exponential", "gamma": 0.5}
    config = config_of("sgd", learning_rate=0.1, warmup_epochs=1.5, schedule=schedule)
    ours, theirs, optimizer = pair(config, steps_per_epoch=4)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1)
    warmup = torch.optim.lr_scheduler.LinearLR(reference, start_factor=1 / 6, total_iters=5)
    for step in range(12):
        rate = optimizer.set_rate(step // 4, 3)
        reference.param_groups[0]["lr"] = warmup.get_last_lr()[0] * 0.5 ** (step // 4)
        assert rate * optimizer.warmup(step) == pytest.approx(reference.param_groups[0]["lr"], rel=1e-12)
        take(ours, theirs, optimizer, step)
        reference.step()
        reference.param_groups[0]["lr"] = warmup.get_last_lr()[0]
        warmup.step()
    check_equal(ours, theirs)


def test_the_moving_average_is_that_of_torch_from_the_initial_weights_on() -> None:
    ours, theirs, optimizer = pair(config_of("sgd", learning_rate=0.1, ema_decay=0.7))
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1)
    average = AveragedModel(theirs, multi_avg_fn=get_ema_multi_avg_fn(0.7))
    average.update_parameters(theirs)
    for step in range(5):
        take(ours, theirs, optimizer, step)
        reference.step()
        average.update_parameters(theirs)
    raw = [parameter.clone() for parameter in ours.parameters()]
    with optimizer.averaged():
        check_equal(ours, average.module)
    assert all(torch.equal(*both) for both in zip(raw, ours.parameters(), strict=True))


def trained(recipe: Any) -> Trainer:
    found = trainer(recipe)
    while not found.done:
        found.run_epoch()
    return found


EVERYTHING = {
    "name": "adamw",
    "warmup_epochs": 0.5,
    "clip_norm": 100.0,
    "decay": "matrices",
    "ema_decay": 0.9,
    "groups": [{"parameters": ["encoder"], "learning_rate": 1e-4}],
}
PARTS = {"epochs": 2, "batch_size": 50, "accumulate": 3}


def test_what_is_measured_is_the_average_and_the_weights_stay_where_they_are() -> None:
    found = trainer(tiny_recipe(optimizer={"name": "adam", "ema_decay": 0.9}))
    plain = trainer(tiny_recipe())
    addresses = [parameter.data_ptr() for parameter in found.model.parameters()]
    row, other = found.run_epoch(), plain.run_epoch()
    assert row and other
    assert addresses == [parameter.data_ptr() for parameter in found.model.parameters()]
    assert row["train"] == other["train"]
    assert row["test"] != other["test"]
    for parameter, average in zip(found.model.parameters(), found.optimizer.state[AVERAGE], strict=True):
        parameter.data = average
    now = (found.step - 1) / found.steps_per_epoch
    assert found.evaluation.run(now).read().means() == row["test"]


def test_the_norm_of_the_gradients_is_logged_beside_the_terms() -> None:
    found = trainer(tiny_recipe(optimizer={"name": "adam", "clip_norm": 1e-3}))
    row = found.run_epoch()
    assert row
    assert row["gradient_norm"] > 1
    assert row["train"].keys() == row["test"].keys()


def test_a_batch_in_parts_gives_the_gradients_of_the_whole() -> None:
    model = {"variant": "ae", "hidden": [16], "latent_dim": 4}  # draws no noise, which parts draw otherwise
    sections = {"model": model, "objective": {"name": "reconstruction"}, "optimizer": {"name": "sgd"}}
    whole = trained(tiny_recipe(**sections))
    parts = trained(tiny_recipe(**sections, training=PARTS))
    for own, other in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-6)
    for own, other in zip(parts.history, whole.history, strict=True):
        assert own["train"] == pytest.approx(other["train"], rel=1e-5)


def test_parts_cover_a_batch_and_have_two_images_each() -> None:
    assert parts_of(7, 3) == [slice(0, 2), slice(2, 4), slice(4, 7)]
    assert parts_of(5, 4) == [slice(0, 2), slice(2, 5)]
    assert parts_of(1, 4) == [slice(0, 1)]


def test_a_run_with_everything_goes_on_to_the_same_bits() -> None:
    recipe = tiny_recipe(optimizer=EVERYTHING, training=PARTS)
    straight, stopped, resumed = (trainer(recipe) for _ in range(3))
    while not straight.done:
        straight.run_epoch()
    steps = iter(range(10))
    while stopped.run_epoch(lambda images: next(steps) == 2):
        pass
    resumed.restore(copied(stopped.state()))
    while not resumed.done:
        resumed.run_epoch()
    assert [row | {"seconds": 0} for row in resumed.history] == [row | {"seconds": 0} for row in straight.history]
    for name, tensors in straight.optimizer.state.items():
        assert all(torch.equal(*both) for both in zip(tensors, resumed.optimizer.state[name], strict=True)), name


def test_patterns_name_parameters_and_modules() -> None:
    assert matches("encoder.0.weight", ["encoder"])
    assert matches("encoder.0.weight", ["*.weight"])
    assert matches("encoder", ["encoder"])
    assert not matches("encoder2.0.weight", ["encoder"])
    assert not matches("decoder.0.weight", ["encoder", "0"])


def test_a_pattern_that_names_nothing_is_refused_with_the_close_match() -> None:
    groups = [{"parameters": ["encodr"], "learning_rate": 0.1}]
    with pytest.raises(ZooError, match=r"optimizer.groups.0.parameters: 'encodr' .*did you mean 'encoder'"):
        trainer(tiny_recipe(optimizer={"name": "adam", "groups": groups}))
    groups[0]["parameters"] = ["xyz"]
    with pytest.raises(ZooError, match="known: decoder, encoder$"):
        trainer(tiny_recipe(optimizer={"name": "adam", "groups": groups}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("optimizer.warmup_epochs", 0),
        ("optimizer.clip_norm", -1),
        ("optimizer.ema_decay", 1.0),
        ("optimizer.decay", "vectors"),
        ("optimizer.groups", [{"parameters": []}]),
        ("training.accumulate", 0),
    ],
)
def test_a_field_out_of_range_is_named(field: str, value: Any) -> None:
    fields = tiny_recipe().to_dict()
    section, _, name = field.partition(".")
    fields[section][name] = value
    with pytest.raises(ZooError, match=field):
        parse_recipe(fields)


def test_fields_that_are_not_used_are_not_written() -> None:
    fields = tiny_recipe().to_dict()
    assert set(fields["optimizer"]) == {"name", "learning_rate", "weight_decay", "schedule", "betas", "eps"}
    assert set(fields["training"]) == {"epochs", "batch_size", "seed"}
    assert tiny_recipe(optimizer=EVERYTHING).to_dict()["optimizer"]["ema_decay"] == 0.9
