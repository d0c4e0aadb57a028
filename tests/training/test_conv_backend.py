"""The choice of how convolutions are computed, and the memory layout that goes with it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import SHIPPED_VARIANTS, tiny_recipe_of, trainer
from zoo.registry import VARIANTS
from zoo.training import execution, runners
from zoo.training.conv_backend import chosen, has_channels, lay_out
from zoo.training.gemm_convolutions import GemmConv2d, GemmConvTranspose2d
from zoo.training.step import Step
from zoo.training.trainer import Trainer


def trained(found: Trainer) -> Trainer:
    while not found.done:
        found.run_epoch()
    return found


def products(model: nn.Module) -> int:
    return sum(isinstance(layer, GemmConv2d | GemmConvTranspose2d) for layer in model.modules())


@pytest.mark.parametrize(
    ("variant", "channels", "backend"),
    [
        ("linear_vae", 1, "contiguous"),
        ("conv_vae", 1, "gemm"),
        ("bn_vae", 1, "contiguous"),  # its last convolution makes one channel: with channels last it does not compile
        ("bn_vae", 3, "channels_last"),
    ],
)
def test_auto_follows_what_was_measured(variant: str, channels: int, backend: str) -> None:
    config = tiny_recipe_of(variant).model
    model = VARIANTS.get(variant).build(config, (channels, 28, 28))
    assert chosen(model, "auto", compiled=False) == "contiguous"
    assert chosen(model, "auto", compiled=True) == backend
    assert chosen(model, "channels_last", compiled=False) == "channels_last"


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_laying_out_moves_convolutions_with_several_channels_and_can_be_undone(variant: str) -> None:
    found = trainer(tiny_recipe_of(variant))
    optimizer = found.optimizer
    values = [weight.detach().clone() for weight in optimizer.parameters]
    addresses = [weight.data_ptr() for weight in optimizer.parameters]
    states = [tensor.data_ptr() for tensors in optimizer.state.values() for tensor in tensors]
    undo = lay_out(optimizer)
    for weight, value in zip(optimizer.parameters, values, strict=True):
        layout = torch.channels_last if weight.dim() == 4 and weight.shape[1] > 1 else torch.contiguous_format
        assert weight.stride() == torch.empty(weight.shape).to(memory_format=layout).stride()
        assert torch.equal(weight, value)
    for tensors in optimizer.state.values():
        assert all(t.stride() == w.stride() for t, w in zip(tensors, optimizer.parameters, strict=True) if t.dim())
    undo()
    assert [weight.data_ptr() for weight in optimizer.parameters] == addresses
    assert [tensor.data_ptr() for tensors in optimizer.state.values() for tensor in tensors] == states


def test_a_copy_in_another_dtype_keeps_the_layout_of_every_weight() -> None:
    """A compiler's copy of (16, 1, 15, 15) with channels last has other strides: bn_vae did not compile in bf16."""
    shapes = [(16, 1, 15, 15), (1, 16, 3, 3), (8, 4, 3, 3)]
    assert [has_channels(torch.empty(shape)) for shape in shapes] == [False, True, True]


def test_a_checkpoint_goes_on_in_the_other_layout() -> None:
    recipe = tiny_recipe_of("conv_vae")
    first = trainer(recipe)
    first.run_epoch()
    second = trainer(recipe)
    lay_out(second.optimizer)
    second.restore(first.state())
    for name, value in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value)
    for name, tensors in first.optimizer.state.items():
        assert all(map(torch.equal, second.optimizer.state[name], tensors))
    trained(first)
    trained(second)
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)  # sums in another order


@pytest.fixture
def compiled_on_cuda(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A stand-in for compilation on CUDA, which notes how many products the compiled step has."""
    seen: list[int] = []

    def compile_nothing(function: Any, **settings: Any) -> Any:
        def step_fn(images: int) -> None:
            seen.append(products(function.__self__.model))
            function(images)

        return step_fn

    monkeypatch.setattr(torch, "compile", compile_nothing)
    monkeypatch.setattr(Step, "on_cuda", True)
    monkeypatch.setattr(execution, "COMPILED_STEPS", set())
    return seen


def prepared(monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, float], compile: str) -> Trainer:
    timed = runners.seconds_per_step

    def told(runner: runners.EagerRunner) -> float:
        timed(runner)
        return seconds[runner.compiled]

    monkeypatch.setattr(execution, "seconds_per_step", told)
    found = trainer(tiny_recipe_of("conv_vae", execution={"compile": compile, "graph": "off"}))
    found.prepare()
    return found


def test_only_the_compiled_step_has_products(monkeypatch: pytest.MonkeyPatch, compiled_on_cuda: list[int]) -> None:
    found = prepared(monkeypatch, (2.0, 1.0), "on")
    assert set(compiled_on_cuda) == {4}
    assert products(found.model) == 0
    weights = [weight for weight in found.model.parameters() if weight.dim() == 4 and min(weight.shape[1:]) > 1]
    assert weights and all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    found.run_epoch()


def test_a_compiled_step_that_is_not_chosen_leaves_contiguous_weights(
    monkeypatch: pytest.MonkeyPatch, compiled_on_cuda: list[int]
) -> None:
    found = prepared(monkeypatch, (1e3, 1e6), "auto")
    assert compiled_on_cuda and found.runner and not found.runner.compiled
    assert all(weight.is_contiguous() for weight in found.model.parameters())
    monkeypatch.undo()
    same = trained(trainer(tiny_recipe_of("conv_vae", execution={"compile": "off"})))
    for one, other in zip(trained(found).model.parameters(), same.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_compiled_step_that_fails_leaves_contiguous_weights(
    monkeypatch: pytest.MonkeyPatch, compiled_on_cuda: list[int]
) -> None:
    def failing(function: Any, **settings: Any) -> Any:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", failing)
    with pytest.warns(UserWarning, match="cannot be compiled"):
        found = prepared(monkeypatch, (2.0, 1.0), "on")
    assert all(weight.is_contiguous() for weight in found.model.parameters())


@pytest.mark.slow
def test_a_step_that_is_compiled_with_products_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled but for the last stage, and called in every step, between which the classes are torch's."""
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **settings: compile(function, backend="aot_eager"))
    monkeypatch.setattr(execution, "COMPILED_STEPS", set())
    monkeypatch.setattr(Step, "on_cuda", True)
    found = trained(trainer(tiny_recipe_of("conv_vae", execution={"compile": "on", "graph": "off"})))
    assert found.runner and found.runner.compiled
    monkeypatch.undo()
    plain = trained(trainer(tiny_recipe_of("conv_vae", execution={"compile": "off"})))
    for one, other in zip(found.history, plain.history, strict=True):
        assert one["train"]["loss"] == pytest.approx(other["train"]["loss"], rel=1e-3)
