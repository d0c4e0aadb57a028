"""Several seeds as one model: the same runs as alone, within rounding, each in its own folder."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from tests.helpers import CPU, command, costly_variants, tiny_fields, tiny_recipe, tiny_recipe_of, trainer
from tests.training.test_optimizer import EVERYTHING
from zoo.runs.folder import read_history
from zoo.schema.recipe import Recipe
from zoo.system.randomness import bernoulli
from zoo.training import stack
from zoo.training.epochs import Interrupted
from zoo.training.hand_noise import HandedNoise, NotedDraws
from zoo.training.multi_run import Run, lanes, train_many
from zoo.training.run import train
from zoo.training.run_context import RunContext
from zoo.training.stack import CannotStack, Lockstep, SharedRunner, stacked_runner
from zoo.training.stacked_step import StackedStep
from zoo.training.trainer import Trainer

# what vmap has no rule for would run model by model
pytestmark = pytest.mark.filterwarnings("error:There is a performance drop")

SEEDS = (0, 1, 5)
SGD = {"name": "sgd", "learning_rate": 1e-5}  # Adam would make whole steps of gradients that are 0 but for rounding


def seeded(variant: str = "linear_vae", how: str = "on", epochs: int = 2, **sections: Any) -> list[Recipe]:
    sections = {"execution": {"stack": how}, **sections}
    training = {"epochs": epochs, "batch_size": 50} | sections.pop("training", {})
    return [tiny_recipe_of(variant, training=training | {"seed": seed}, **sections) for seed in SEEDS]


def jobs(recipes: list[Recipe], folder: Path, **options: Any) -> list[Run]:
    return [Run(recipe, folder / f"seed{recipe.training.seed}", **options) for recipe in recipes]


def check_as_alone(job: Run, alone: Path) -> None:
    """Compare every epoch's terms, on both splits, and the weights of a run with those of the run alone."""
    assert {path.name for path in job.out.iterdir()} == {path.name for path in alone.iterdir()}
    for row, row_alone in zip(read_history(job.out), read_history(alone), strict=True):
        for split in ("train", "test"):
            assert row[split] == pytest.approx(row_alone[split], rel=1e-4)
    tensors, expected = (load_file(folder / "model.safetensors") for folder in (job.out, alone))
    for name, tensor in expected.items():
        torch.testing.assert_close(tensors[name], tensor, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: name + text)


@pytest.mark.parametrize("variant", costly_variants())
def test_each_seed_is_the_run_alone(variant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = jobs(seeded(variant, optimizer=SGD), tmp_path)
    assert train_many(runs, CPU) == {}
    assert "seed5: on cpu with 1 thread, 3 seeds as one model, step by step" in capsys.readouterr().out
    for job in runs:
        check_as_alone(job, train(job.recipe, job.out.with_suffix(".alone"), CPU))


@pytest.mark.parametrize(
    "sections",
    [
        {"data": {"name": "tiny", "binarization": "dynamic"}},
        {"objective": {"name": "iwae", "k": 3}},
        {"objective": {"name": "swae"}},
        {"objective": {"name": "beta_tc", "estimator": "mss"}},
        {"optimizer": {"name": "adam"}},
        {"optimizer": {"name": "adamw", "schedule": {"name": "cosine"}}},
        {"optimizer": {"name": "rmsprop", "learning_rate": 1e-4, "momentum": 0.9}},
        {"objective": {"name": "elbo", "annealing": {"name": "linear", "epochs": 1}}},
        {"optimizer": EVERYTHING, "training": {"accumulate": 3}},
        {"execution": {"stack": "on", "precision": "bf16"}},
    ],
    ids=lambda sections: str(next(iter(sections.values()))),
)
def test_an_epoch_is_that_of_each_model_alone(sections: dict[str, Any]) -> None:
    recipes = seeded(**sections)
    together = [trainer(recipe) for recipe in recipes]
    runner = stacked_runner(together)
    for each in together:
        each.loader.start(each.order(), 0)
    for size in together[0].sizes:
        with together[0].context.active():
            runner.run(1, size)
    tolerance = 2e-2 if recipes[0].execution.precision == "bf16" else 1e-4
    for recipe, found in zip(recipes, together, strict=True):
        alone = trainer(recipe)
        for _ in alone.train_steps():
            pass
        assert found.means.read().means() == pytest.approx(alone.means.read().means(), rel=tolerance, abs=1e-5)
        for name, mine in found.context.random_state().items():  # and as many numbers were drawn
            assert torch.equal(mine, alone.context.random_state()[name])


@pytest.mark.parametrize(
    "variant",
    ["linear_vae", pytest.param("bn_vae", marks=pytest.mark.slow), pytest.param("vq_vae", marks=pytest.mark.slow)],
)  # normal noise; dropout and buffers; whole numbers
def test_the_step_of_all_can_be_compiled_and_does_the_same(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    monkeypatch.setattr("zoo.training.execution.compile_options", lambda cuda: None)
    sums, states = [], []
    for how in ("on", "off"):
        together = [trainer(each) for each in seeded(variant, optimizer=SGD, execution={"stack": "on", "compile": how})]
        runner = stacked_runner(together)
        assert runner.compiled == (how == "on")
        together[0].loader.start(together[0].order(), 0)
        with together[0].context.active():
            runner.run(2, 50)
        sums.append(runner.step.means.sums)
        states.append([each.context.random_state()["cpu"] for each in together])
    assert torch.allclose(*sums, rtol=1e-5)
    assert all(map(torch.equal, *states))


def test_seeds_stopped_together_go_on_together_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = seeded()
    whole = jobs(recipes, tmp_path / "whole")
    assert train_many(whole, CPU) == {}
    stopped = jobs(recipes, tmp_path / "stopped")
    original = StackedStep.update
    steps = []

    def update(self: StackedStep, images: int) -> None:
        original(self, images)
        steps.append(images)
        if len(steps) == stack.TRIAL_STEPS + self.steps_per_epoch + 2:  # within the second epoch
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(StackedStep, "update", update)
    with pytest.raises(Interrupted, match="stopped at step") as caught:
        train_many(stopped, CPU)
    monkeypatch.undo()
    assert len(set(str(caught.value).replace("seed0", "").replace("seed1", "").replace("seed5", "").split("\n"))) == 1
    assert train_many(jobs(recipes, tmp_path / "stopped", resume=True), CPU) == {}
    for one, other in zip(whole, stopped, strict=True):
        assert (one.out / "model.safetensors").read_bytes() == (other.out / "model.safetensors").read_bytes()


def test_a_checkpoint_of_one_of_them_is_that_of_a_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = seeded(optimizer=SGD)
    runs = jobs(recipes, tmp_path)
    original = Trainer.end_epoch

    def end_epoch(self: Trainer) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        monkeypatch.undo()
        return original(self)

    monkeypatch.setattr(Trainer, "end_epoch", end_epoch)
    with pytest.raises(Interrupted):
        train_many(runs, CPU)
    train(recipes[0], runs[0].out, CPU, resume=True)
    check_as_alone(runs[0], train(recipes[0], tmp_path / "alone", CPU))


def test_a_seed_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = jobs(seeded(optimizer=SGD), tmp_path)
    (tmp_path / "seed1").mkdir()
    (tmp_path / "seed1" / "thesis.txt").touch()
    assert set(train_many(runs, CPU)) == {tmp_path / "seed1"}
    check_as_alone(runs[2], train(runs[2].recipe, tmp_path / "alone", CPU))


def test_a_seed_that_diverges_leaves_the_others_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = jobs(seeded(optimizer=SGD), tmp_path)
    original = Trainer.end_epoch

    def end_epoch(self: Trainer) -> Any:
        if self.recipe.training.seed == 0 and self.epoch == 1:
            with torch.no_grad():
                next(self.model.parameters()).fill_(torch.nan)
        return original(self)

    monkeypatch.setattr(Trainer, "end_epoch", end_epoch)
    (reason,) = train_many(runs, CPU).values()
    assert "training diverged: the weights were no longer finite" in reason
    monkeypatch.undo()
    check_as_alone(runs[1], train(runs[1].recipe, tmp_path / "alone", CPU))


class DrawsFromValues(nn.Module):
    """A layer whose random numbers depend on its input."""

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h * bernoulli(h.detach().sigmoid())


def test_what_cannot_be_stacked_says_why_and_trains_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = Trainer.__init__

    def init(self: Trainer, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        self.model.encoder.insert(0, DrawsFromValues())

    monkeypatch.setattr(Trainer, "__init__", init)
    runs = jobs(seeded(epochs=1), tmp_path)
    assert train_many(runs, CPU) == {}
    assert "step by step; not as one model with the other seeds: RuntimeError: vmap" in capsys.readouterr().out
    alone = train(runs[1].recipe, tmp_path / "alone", CPU)
    assert (alone / "model.safetensors").read_bytes() == (runs[1].out / "model.safetensors").read_bytes()


def test_steps_that_do_something_else_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = StackedStep.terms

    def terms(self: StackedStep, *arguments: Any) -> Any:
        found = original(self, *arguments)
        return {**found, "loss": found["loss"] * 1.01}

    monkeypatch.setattr(StackedStep, "terms", terms)
    trainers = [trainer(recipe) for recipe in seeded()]
    for each in trainers:
        each.step = 2
        each.take_step.done.fill_(2)
    before = [value.clone() for value in trainers[0].model.state_dict().values()]
    with pytest.raises(CannotStack, match="differ from those of each model alone"):
        stacked_runner(trainers)
    assert all(map(torch.equal, before, trainers[0].model.state_dict().values()))  # nothing is left of the trial
    trainers[0].take_step.done.add_(1)
    assert trainers[1].take_step.done == 2


def test_what_a_captured_step_reads_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    # The trainers' orders move when theirs become views of the step's; a graph goes on reading the old place.
    together = [trainer(recipe) for recipe in seeded(data={"name": "tiny", "binarization": "dynamic"})]
    runner = stacked_runner(together)
    together[0].loader.start(together[0].order(), 0)
    own = runner.step.loader
    for each in together:
        monkeypatch.setattr(each.loader, "batch", None)
    with together[0].context.active():
        runner.run(2, 50)
    assert own.order.data_ptr() == together[0].loader.order.data_ptr()


def test_the_first_seed_that_is_over_computes_on_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    together = [trainer(recipe) for recipe in seeded("bn_vae", training={"freeze": ["encoder.3"]})]
    runner = stacked_runner(together)
    going = {Path(str(index)): each for index, each in enumerate(together[1:])}
    shared, modes = Lockstep(together, runner, going), []

    def update(step: StackedStep, images: int) -> None:
        modes.append([module.training for module in step.model.modules()])

    monkeypatch.setattr(StackedStep, "update", update)
    together[0].training_mode()
    usual = [module.training for module in together[0].model.modules()]
    together[0].model.eval()  # as its measuring leaves it
    with together[1].context.active():
        shared.run(together[1], 1, 50)
    assert modes == [usual]
    assert not all(usual)


def test_one_that_has_no_room_alone_costs_no_other_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(trainers: Any) -> None:
        raise CannotStack("a reason")

    original, refused = Trainer.prepare, []

    def prepare(self: Trainer) -> str:
        if self.recipe.training.seed == 1 and not refused:
            refused.append(self)
            raise torch.OutOfMemoryError
        return original(self)

    monkeypatch.setattr(stack, "stacked_runner", refuse)
    monkeypatch.setattr(Trainer, "prepare", prepare)
    runs = jobs(seeded(epochs=1), tmp_path)
    assert train_many(runs, CPU) == {}
    assert refused and all((job.out / "model.safetensors").exists() for job in runs)


def test_a_stack_that_fails_leaves_every_seed_a_generator_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("no room")

    renewed: list[RunContext] = []
    monkeypatch.setattr(stack, "choose_runner", fail)
    monkeypatch.setattr(RunContext, "reset_generator", lambda context: renewed.append(context))
    together = [trainer(recipe) for recipe in seeded()]
    with pytest.raises(CannotStack, match="no room"):
        stacked_runner(together)
    assert renewed == [each.context for each in together]


def test_checkpoints_of_a_stack_are_of_the_same_step() -> None:
    together = [trainer(recipe) for recipe in seeded()]
    shared = Lockstep(together, stacked_runner(together), {})
    shared_runners = [SharedRunner(shared, each) for each in together]
    assert [one.agreed(wish) for one, wish in zip(shared_runners, (True, False, False), strict=True)] == [True] * 3
    for each in together:
        each.step += 1
    assert [one.agreed(wish) for one, wish in zip(shared_runners, (False, True, True), strict=True)] == [False] * 3
    assert shared.runner.agreed(True) and not shared.runner.agreed(False)


def test_what_is_stacked_is_what_was_measured_to_be_faster() -> None:
    def sizes(
        seeds: int, device: str, how: str = "auto", variant: str = "linear_vae", most: int = 0, batch: int = 32,
        compile: str = "auto",
    ) -> list[int]:  # fmt: skip
        execution = {"stack": how, "compile": compile}
        recipes = [
            tiny_recipe_of(variant, training={"epochs": 1, "batch_size": batch, "seed": seed}, execution=execution)
            for seed in range(seeds)
        ]
        runs = [Run(recipe, Path(str(number))) for number, recipe in enumerate(recipes)]
        return [len(lane.runs) for lane in lanes(runs, torch.device(device), most)]

    assert sizes(8, "cuda") == [8]
    assert sizes(7, "cuda") == [1] * 7
    assert sizes(8, "cuda", variant="conv_vae") == [1] * 8
    assert sizes(8, "cuda", compile="off") == [1] * 8
    assert sizes(40, "cuda", how="on") == [20, 20]
    assert sizes(8, "cuda", how="on", most=4) == [4, 4]
    assert sizes(7, "cpu") == [1] * 7
    assert sizes(8, "cpu", variant="conv_vae") == [1] * 8
    assert sizes(8, "cuda", variant="conv_vae", how="on") == [8]
    assert sizes(8, "cuda", how="off") == [1] * 8
    assert sizes(8, "cpu") == [8]
    assert sizes(30, "cpu") == [15, 15]
    assert sizes(8, "cpu", batch=128) == [1] * 8
    assert sizes(2, "cpu", how="on") == [2]
    assert sizes(1, "cpu", how="on") == [1]


def test_noise_is_handed_out_in_place_of_drawing() -> None:
    x = torch.randn(4, 3)
    with NotedDraws() as noted:
        F.dropout(x, 0.5, training=False)  # draws nothing
        torch.randn_like(x), F.dropout(x, 0.5), torch.randint(9, (2,))
    torch.manual_seed(1)
    noise = [draw() for draw in noted.draws]
    torch.manual_seed(1)
    expected = torch.randn_like(x), F.dropout(x, 0.5), torch.randint(9, (2,))
    with HandedNoise(noise):
        assert torch.equal(F.dropout(x, 0.5, training=False), x)
        found = torch.randn_like(x), F.dropout(x, 0.5), torch.randint(9, (2,))
    assert all(map(torch.equal, found, expected))


def test_stacking_from_the_command_line(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(tiny_fields()))
    done = command(
        "train", recipe, "--seeds", "0-2", "--stack", "on", "--device", "cpu", "--out", tmp_path / "runs",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3 seeds as one model" in done.stdout
    assert "tiny_vae: mean ± sd of 3 seeds (0-2)" in done.stdout
    assert tiny_recipe(execution={"stack": "on"}).digest() == tiny_recipe().digest()
