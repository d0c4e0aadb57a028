"""However the steps reach the device, the loss curve is the same."""

from __future__ import annotations

import contextlib
import math
import warnings
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.adam import adam as torch_adam

from tests.helpers import SHIPPED_VARIANTS, costly_variants, tiny_recipe, tiny_recipe_of, trainer
from tests.training.test_optimizer import EVERYTHING
from zoo.errors import ZooError
from zoo.optimizers import _adam
from zoo.registry import OPTIMIZERS
from zoo.schema.recipe import Recipe
from zoo.schema.sections import Execution
from zoo.training import execution, runners
from zoo.training.execution import choose_runner
from zoo.training.run_context import RunContext
from zoo.training.runners import EagerRunner, GraphRunner
from zoo.training.step import Step
from zoo.training.trainer import Trainer

ONE_SIZE = {"data": {"name": "tiny", "train_images": 100, "test_images": 50}}
"""Images in batches of one size, for which a step is compiled once."""

MANY = {"epochs": 2, "batch_size": 8}
"""29 steps an epoch, the last on 6 images: more than fit into one graph, and a graph of another size."""


class FakeGraph:
    """What a CUDA graph does, without CUDA: replaying repeats what was captured."""

    def __init__(self, take: Any, images: int, steps: int, *pool_and_generators: Any) -> None:
        take(images)  # warming up changes every state
        self.take, self.images, self.steps = take, images, steps

    def replay(self) -> None:
        for _ in range(self.steps):
            self.take(self.images)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Step, "on_cuda", True)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(runners, "captured", FakeGraph)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compilation without the last stage, code generation, which takes most of the time."""
    original = torch.compile

    def quick(function: Any, *, options: Any, **settings: Any) -> Any:
        return original(function, backend="aot_eager", **settings)

    monkeypatch.setattr(torch, "compile", quick)


def recipe_of(variant: str, **sections: Any) -> Recipe:
    """A variant with an objective for it, on images whose binarisation draws random numbers in every step."""
    return tiny_recipe_of(variant, **{"data": {"name": "tiny", "binarization": "dynamic"}} | sections)


@pytest.fixture(autouse=True)
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds what another has compiled, which would decide what ``auto`` does."""
    monkeypatch.setattr(execution, "COMPILED_STEPS", set())


def trained(recipe: Recipe) -> Trainer:
    found = trainer(recipe)
    while not found.done:
        found.run_epoch()
    return found


def same_bits(one: Trainer, other: Trainer) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def losses(found: Trainer) -> list[float]:
    return [row[split]["loss"] for row in found.history for split in ("train", "test")]


@pytest.mark.usefixtures("graphs")
@pytest.mark.parametrize("variant", costly_variants())
def test_replayed_steps_give_the_same_bits_as_steps_one_by_one(variant: str) -> None:
    replayed = trained(recipe_of(variant, training=MANY, execution={"compile": "off"}))
    assert isinstance(replayed.runner, GraphRunner)
    assert sorted(replayed.runner.graphs) == [(6, 1), (8, 1), (8, 24)]
    one_by_one = trained(recipe_of(variant, training=MANY, execution={"graph": "off"}))
    assert type(one_by_one.runner) is EagerRunner
    assert same_bits(replayed, one_by_one)
    assert losses(replayed) == losses(one_by_one)


@pytest.mark.usefixtures("graphs")
def test_a_step_with_everything_that_an_optimizer_can_do_is_replayed_to_the_same_bits() -> None:
    sections = {"optimizer": EVERYTHING, "training": MANY | {"accumulate": 2}}
    replayed = trained(tiny_recipe(**sections, execution={"compile": "off"}))
    assert isinstance(replayed.runner, GraphRunner)
    plain = trained(tiny_recipe(**sections, execution={"graph": "off"}))
    assert same_bits(replayed, plain)
    assert [row["gradient_norm"] for row in replayed.history] == [row["gradient_norm"] for row in plain.history]


@pytest.mark.usefixtures("graphs")
def test_a_replayed_run_goes_on_in_the_middle_of_a_graph() -> None:
    recipe = tiny_recipe(training=MANY, execution={"graph": "off"})
    half = trainer(recipe)
    half.run_epoch(lambda images: half.step >= 10)
    resumed = trainer(tiny_recipe(training=MANY, execution={"compile": "off"}))
    resumed.restore(half.state())
    while not resumed.done:
        resumed.run_epoch()
    assert same_bits(resumed, trained(recipe))


def test_auto_compiles_where_the_steps_that_are_left_pay_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU: a cold compilation has to pay for itself, an equal one in the same process costs nothing."""
    monkeypatch.setattr(Step, "on_cuda", True)
    monkeypatch.setattr(execution, "compiled", lambda step, backend: lambda images: step(images))
    seconds = iter(())
    monkeypatch.setattr(execution, "seconds_per_step", lambda runner: next(seconds))

    def is_compiled(steps_left: int, key: str = "", variant: str = "linear_vae") -> bool:
        nonlocal seconds
        seconds = iter([1.0, 0.4])
        step = trainer(recipe_of(variant)).take_step
        settings = Execution(compile="auto", graph="off")
        return choose_runner(step, settings, [8, 6], steps_left, key=key).compiled

    saved = 1 - 1 / execution.COMPILED_SPEEDUP["fully connected"]  # seconds a step
    enough = math.ceil(execution.COMPILE_SECONDS["fully connected"] / saved)
    assert [is_compiled(enough - 1, "a"), is_compiled(enough, "a"), is_compiled(1, "a"), is_compiled(1, "b")] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not is_compiled(enough, "c", "conv_vae")  # which takes longer to compile and gains less


def test_trainers_that_differ_in_their_seed_compile_to_the_same_step() -> None:
    keys = [
        trainer(tiny_recipe(**sections)).compile_key
        for sections in (
            {},
            {"training": {"epochs": 5, "batch_size": 50, "seed": 3}},
            {"training": {"epochs": 2, "batch_size": 51}},
            {"objective": {"name": "elbo", "beta": 2.0}},
            {"execution": {"precision": "bf16"}},
        )
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


def test_what_cannot_be_captured_runs_step_by_step_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any) -> None:
        arguments[0](arguments[1])
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(Step, "on_cuda", True)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(runners, "captured", failing)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = trained(tiny_recipe(execution={"compile": "off"}))
    (warning,) = caught
    assert str(warning.message) == (
        "the step cannot be captured as a CUDA graph and is enqueued step by step "
        "(RuntimeError: operation not permitted when stream is capturing)"
    )
    monkeypatch.undo()
    assert same_bits(found, trained(tiny_recipe()))


def test_what_cannot_be_compiled_runs_as_written_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any, **settings: Any) -> None:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", failing)
    with pytest.warns(UserWarning, match="cannot be compiled and runs as written .RuntimeError: no compiler here"):
        found = trained(tiny_recipe(execution={"compile": "on"}))
    monkeypatch.undo()
    assert same_bits(found, trained(tiny_recipe()))


def test_what_was_captured_is_freed_before_it_is_captured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any, **settings: Any) -> None:
        raise torch.OutOfMemoryError("no room")

    made: list[weakref.ref[EagerRunner]] = []
    alive: list[list[bool]] = []
    original = execution.eager_runner

    def eager(*arguments: Any) -> EagerRunner:
        alive.append([reference() is not None for reference in made])
        found = original(*arguments)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(execution, "eager_runner", eager)
    monkeypatch.setattr(torch, "compile", failing)
    with pytest.warns(UserWarning, match="cannot be compiled and runs as written .OutOfMemoryError: no room"):
        trained(tiny_recipe(execution={"compile": "on"}))
    assert alive == [[], [False]]


def test_a_mistake_of_the_user_is_no_reason_to_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Step, "on_cuda", True)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(runners, "captured", FakeGraph)
    with pytest.raises(ZooError, match="reconstruction"):
        trained(tiny_recipe(model={"variant": "ae"}))


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("variant", costly_variants())
def test_every_variant_can_be_compiled_as_a_whole_and_learns_the_same(variant: str) -> None:
    found = trained(recipe_of(variant, execution={"compile": "on"}))
    assert found.runner and found.runner.compiled
    assert losses(found) == pytest.approx(losses(trained(recipe_of(variant))), rel=1e-3)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "adamw", "weight_decay": 0.1},
        {"name": "sgd", "learning_rate": 1e-4},
        {"name": "sgd", "learning_rate": 1e-4, "momentum": 0.9, "weight_decay": 0.01},
        {"name": "rmsprop", "momentum": 0.5, "schedule": {"name": "exponential", "gamma": 0.5}},
        *(pytest.param({"name": name}, marks=pytest.mark.slow) for name in ("adagrad", "adamax", "radam")),
        pytest.param(EVERYTHING, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_optimizer_can_be_compiled_and_learns_the_same(optimizer: dict[str, Any]) -> None:
    parts = {"accumulate": 3} if optimizer is EVERYTHING else {}
    sections = ONE_SIZE | {"optimizer": optimizer, "training": {"epochs": 2, "batch_size": 50} | parts}
    found = trained(tiny_recipe(**sections, execution={"compile": "on"}))
    assert found.runner and found.runner.compiled
    assert losses(found) == pytest.approx(losses(trained(tiny_recipe(**sections))), rel=1e-4)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_as_it_is_compiled_for_a_cpu_is_torchs(name: str) -> None:
    """From the first step, where the corrections are largest, on; in double precision, so that nothing is rounding."""
    config = tiny_recipe(optimizer={"name": name, "weight_decay": 0.1, "learning_rate": 0.02}).optimizer
    theirs = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    generator = torch.Generator().manual_seed(0)
    ours = [torch.randn(3, generator=generator, dtype=torch.float64) for _ in range(2)]
    parameters = [torch.nn.Parameter(part.clone()) for part in ours]
    optimizer = theirs(parameters, lr=0.02, weight_decay=0.1)
    state = {name: [torch.zeros_like(part) for part in ours] for name in ("exp_avg", "exp_avg_sq")}
    state["step"] = [torch.zeros(()) for _ in ours]
    for _ in range(4):
        gradients = [torch.randn(3, generator=generator, dtype=torch.float64) for _ in ours]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        OPTIMIZERS.get(name).build(config, ours, gradients, state, torch.tensor(0.02), True)
        for mine, parameter in zip(ours, parameters, strict=True):
            torch.testing.assert_close(mine, parameter.detach(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_compiled_step_on_a_gpu_is_adam_however_gradients_are_laid_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those laid out otherwise than their weights are written out, the others are torch's; both are one step."""
    lists: list[int] = []

    def on_cpu(parameters: list[Tensor], *state: Any, **settings: Any) -> None:  # where there is no capturable step
        lists.append(len(parameters))
        torch_adam(parameters, *state, **settings | {"capturable": False, "foreach": False})

    monkeypatch.setattr(_adam, "torch_adam", on_cpu)
    monkeypatch.setattr(_adam, "written_out", lambda parameter, gradient: parameter.stride() != gradient.stride())
    config = tiny_recipe(optimizer={"name": name, "weight_decay": 0.1, "learning_rate": 0.02}).optimizer
    ours = [torch.randn(3, 5), torch.randn(5), torch.randn(5, 3)]
    parameters = [torch.nn.Parameter(part.clone()) for part in ours]
    optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name](parameters, lr=0.02, weight_decay=0.1)
    state = {part: [torch.zeros_like(own) for own in ours] for part in ("exp_avg", "exp_avg_sq")}
    state["step"] = [torch.zeros(()) for _ in ours]
    for _ in range(3):
        gradients = [torch.randn(5, 3).T, torch.randn(5), torch.randn(5, 3)]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.contiguous()
        optimizer.step()
        OPTIMIZERS.get(name).build(config, ours, gradients, state, torch.tensor(0.02), True)
    assert lists == [2, 2, 2] and [step.item() for step in state["step"]] == [3, 3, 3]
    for mine, parameter in zip(ours, parameters, strict=True):
        torch.testing.assert_close(mine, parameter.detach(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("annealing", [{"name": "linear", "epochs": 2}, {"name": "cyclical", "period": 1}])
@pytest.mark.usefixtures("traced")
def test_annealing_goes_on_in_a_compiled_step(annealing: dict[str, Any]) -> None:
    sections = {"objective": {"name": "elbo", "annealing": annealing}, **ONE_SIZE}
    found = trained(tiny_recipe(**sections, execution={"compile": "on"}))
    assert losses(found) == pytest.approx(losses(trained(tiny_recipe(**sections))), rel=1e-4)


@pytest.mark.usefixtures("traced")
def test_a_step_is_compiled_anew_where_something_global_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the compiler's settings, which take 0.2 ms, are left alone."""
    compilations: list[None] = []

    @contextlib.contextmanager
    def tracing() -> Iterator[None]:
        compilations.append(None)
        with original():
            yield

    original = execution.tracing
    monkeypatch.setattr(execution, "tracing", tracing)
    sections = ONE_SIZE | {"training": {"epochs": 3, "batch_size": 50}}
    found = trainer(tiny_recipe(**sections, execution={"compile": "on"}))
    found.run_epoch()
    assert len(compilations) == 1
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        found.run_epoch()
    finally:
        torch.use_deterministic_algorithms(False)
    found.run_epoch()
    assert len(compilations) == 2
    assert losses(found) == pytest.approx(losses(trained(tiny_recipe(**sections))), rel=1e-4)


@pytest.mark.slow
def test_the_real_compiler_gives_the_same_loss_curve() -> None:
    found = trained(tiny_recipe(execution={"compile": "on"}))
    assert found.runner and "compiled: " in found.runner.description
    assert losses(found) == pytest.approx(losses(trained(tiny_recipe())), rel=1e-4)


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_bfloat16_stays_near_the_loss_curve(variant: str) -> None:
    found = trained(recipe_of(variant, execution={"precision": "bf16"}))
    assert losses(found) == pytest.approx(losses(trained(recipe_of(variant))), rel=0.03)
    assert all(value.dtype != torch.bfloat16 for value in found.model.state_dict().values())


@pytest.mark.usefixtures("traced")
def test_bfloat16_can_be_compiled() -> None:
    found = trained(tiny_recipe(execution={"precision": "bf16", "compile": "on"}, **ONE_SIZE))
    assert found.runner and found.runner.compiled
    assert losses(found) == pytest.approx(losses(trained(tiny_recipe(**ONE_SIZE))), rel=0.03)


def test_in_bfloat16_the_noise_and_the_kl_keep_32_bits() -> None:
    found = trainer(tiny_recipe(execution={"precision": "bf16"}))
    with torch.autocast("cpu", torch.bfloat16):
        posterior = found.model.encode(torch.rand(2, 1, 28, 28))
        likelihood = found.model.decode(posterior.rsample())
    assert {
        posterior.mean.dtype,
        posterior.rsample().dtype,
        posterior.kl_per_dimension(found.model.prior).dtype,
    } == {torch.float32}
    assert likelihood.mean.dtype == torch.float32


@pytest.mark.usefixtures("graphs", "traced")
@pytest.mark.parametrize(
    ("epochs", "seconds", "words"),
    [
        (1, (1e-3, 0.5e-3), "too few for compiling to pay"),
        (100_000, (1e-3, 0.5e-3), "compiled: 500 us each, 1,000 us uncompiled"),
        (100_000, (1e-3, 2e-3), "not compiled: 2,000 us each, 1,000 us uncompiled"),
    ],
)
def test_compiling_is_chosen_where_it_pays(
    epochs: int, seconds: tuple[float, float], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "seconds_per_step", lambda runner: seconds[runner.compiled])
    found = trainer(tiny_recipe(training={"epochs": epochs, "batch_size": 50}, **ONE_SIZE))
    said = found.prepare()
    assert said.endswith(words)
    assert found.was_compiled == (found.runner and found.runner.compiled) == words.startswith("compiled")


@pytest.mark.usefixtures("graphs")
def test_a_capture_that_fails_after_compiling_leaves_the_uncompiled_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(take: Any, images: int, steps: int, *rest: Any) -> FakeGraph:
        if not isinstance(take, Step):
            raise torch.OutOfMemoryError("no memory for both")
        return FakeGraph(take, images, steps, *rest)

    renewed: list[int] = []
    monkeypatch.setattr(RunContext, "reset_generator", lambda context: renewed.append(1))
    monkeypatch.setattr(runners, "captured", failing)
    with pytest.warns(UserWarning, match="runs as written .OutOfMemoryError: no memory for both"):
        found = trained(tiny_recipe(training=MANY, execution={"compile": "on"}))
    assert isinstance(found.runner, GraphRunner) and not found.runner.compiled
    assert renewed == [1]
    monkeypatch.setattr(runners, "captured", FakeGraph)
    assert same_bits(found, trained(tiny_recipe(training=MANY)))


@pytest.mark.usefixtures("graphs", "traced")
@pytest.mark.parametrize("before", [True, False])
def test_a_resumed_run_compiles_if_it_did_so_before(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "seconds_per_step", lambda runner: 1.0)
    first = trainer(tiny_recipe(**ONE_SIZE))
    state = first.state() | {"compiled": before}
    second = trainer(tiny_recipe(**ONE_SIZE))
    second.restore(state)
    second.prepare()
    assert second.runner and second.runner.compiled == before


def test_on_a_cpu_nothing_is_measured_where_few_steps_are_left() -> None:
    found = trainer(tiny_recipe())
    assert found.prepare() == "step by step"


@pytest.mark.usefixtures("traced")
def test_preparing_changes_no_state() -> None:
    found = trainer(tiny_recipe(execution={"compile": "on"}, **ONE_SIZE))
    before = {name: value.clone() for name, value in found.model.state_dict().items()}
    found.prepare()
    assert all(torch.equal(value, before[name]) for name, value in found.model.state_dict().items())
    assert all(not tensor.any() for tensors in found.optimizer.state.values() for tensor in tensors)
    assert found.take_step.done == 0 and not found.means.sums.any()


def test_a_step_is_not_timed_while_the_device_works_for_other_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: did.append("waited"))
    step: Any = SimpleNamespace(done=torch.zeros(()))
    runner: Any = SimpleNamespace(step=step, max_steps=2, batch_size=8, run=lambda *_: did.append("ran"))
    runners.seconds_per_step(runner)
    assert did == ["waited", "ran", "ran"]


@pytest.mark.usefixtures("graphs")
def test_garbage_is_collected_once_for_all_graphs_of_a_way(monkeypatch: pytest.MonkeyPatch) -> None:
    collections: list[None] = []
    monkeypatch.setattr(runners.gc, "collect", lambda: collections.append(None))
    found = trainer(tiny_recipe(training=MANY))
    found.prepare()
    assert isinstance(found.runner, GraphRunner) and len(found.runner.graphs) > 1
    assert len(collections) == 1


class Capturing:
    """What a capture asks of CUDA, without CUDA; it notes what is done in which mode."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mode = "default"
        self.modes: list[str] = []
        monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", self.set_mode)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
        monkeypatch.setattr(torch.cuda, "graph", lambda *arguments: contextlib.nullcontext())

    def set_mode(self, mode: str) -> None:
        warnings.warn("Synchronization debug mode is a prototype feature and does not yet detect all", stacklevel=1)
        self.mode = mode

    def step(self, images: int) -> None:
        self.modes.append(self.mode)


def test_a_step_is_tried_where_waiting_is_an_error_before_it_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Capturing(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runners.captured(cuda.step, 8, 2, None)
    assert cuda.modes == ["default", "error", "default", "default"]


def test_a_step_that_waits_is_not_captured_and_waiting_is_allowed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Capturing(monkeypatch)

    def waiting(images: int) -> None:
        cuda.step(images)
        if cuda.mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")

    with pytest.raises(RuntimeError, match="synchronizing"):
        runners.captured(waiting, 8, 2, None)
    assert (cuda.modes, cuda.mode) == (["default", "error"], "default")


@pytest.mark.parametrize(
    ("cause", "named"), [(PermissionError(13, "Permission denied"), True), (FileNotFoundError(2, "no gcc"), False)]
)
def test_a_cache_folder_that_cannot_be_written_is_named_with_its_remedy(
    cause: OSError, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any, **settings: Any) -> None:
        raise RuntimeError("the back end failed") from cause

    monkeypatch.setattr(torch, "compile", failing)
    with pytest.warns(UserWarning, match="cannot be compiled and runs as written") as caught:
        found = trained(tiny_recipe(execution={"compile": "on"}))
    assert found.runner and not found.runner.compiled
    (warning,) = caught
    assert str(warning.message).endswith("set TORCHINDUCTOR_CACHE_DIR to a folder that can be written") == named
