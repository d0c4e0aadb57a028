"""Several seeds of one recipe that are trained as one model, each as a run of its own with its own folder.

Each run goes its way (checkpoints, measuring, Ctrl-C, the run folder at its end); only its steps are those of all. The
runs must take turns: after each portion of steps and after each epoch, all of them get there before any goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from math import prod
from pathlib import Path

import torch

from zoo.errors import ZooError, first_line
from zoo.models.build import build
from zoo.schema.recipe import Recipe
from zoo.training.batches import DeviceLoader
from zoo.training.execution import choose_runner
from zoo.training.gemm_convolutions import Convolution
from zoo.training.runners import EagerRunner, GraphRunner
from zoo.training.stacked_step import ModelAndObjective, StackedStep
from zoo.training.state import copied
from zoo.training.trainer import Trainer

MAX_STACK = 32
"""The most seeds in one stack; no more were measured."""

STACK_FROM = {"cpu": 8, "cuda": 8}
"""The number of seeds from which fully connected models are trained faster as one model than in turns, by the kind of
device: measured on two cores of an AMD EPYC and, with a compiled prototype, on an H200. Convolutions were faster in
turns, but for very small ones."""

CPU_PARAMETERS = 110_000
"""The most parameters of a model that is trained faster as one of several on a CPU: more keep it busy by themselves."""

CPU_PIXELS = 400_000
"""The most pixels in the batches of a stack on a CPU; from about 600,000 on, it was slower."""

TRIAL_STEPS = 3
"""The steps that are taken both ways, to see that they do the same."""

TOLERANCE = {"fp32": 1e-4, "tf32": 2e-3, "bf16": 2e-2}
"""The difference of the losses after those steps, as a part of the loss, that rounding may cause."""


class CannotStack(ZooError):
    """The seeds of a recipe cannot be trained as one model; the message says why."""


def stack_size(recipe: Recipe, seeds: int, device: torch.device) -> int:
    """Return how many of ``seeds`` seeds of a recipe to train as one model, 1 for none: as asked for, or measured."""
    wanted, size = recipe.execution.stack, min(seeds, MAX_STACK)
    if wanted != "auto" or seeds < 2:
        return size if wanted == "on" else 1
    model = build(recipe)
    if any(isinstance(module, Convolution) for module in model.modules()):
        return 1
    if device.type == "cuda" and recipe.execution.compile == "off":  # which was not measured
        return 1
    if device.type == "cpu":
        if model.parameter_count > CPU_PARAMETERS:
            return 1
        size = min(size, CPU_PIXELS // (recipe.training.batch_size * prod(model.image_shape)))
    return size if size >= STACK_FROM.get(device.type, size + 1) else 1


class Stack:
    """The runs that are trained as one model.

    Args:
        outs: the run folders of the runs that will join, or leave.
    """

    def __init__(self, outs: Sequence[Path]) -> None:
        self.awaited = set(outs)
        self.joined: dict[Path, Trainer] = {}
        self.descriptions: dict[Path, str] = {}
        """The words for how the runs in a stack run their steps; there are none until all have joined."""
        self.alone: dict[Path, str] = {}
        """The reasons why runs are not in a stack."""

    def join(self, out: Path, trainer: Trainer) -> Generator[None, None, str]:
        """Give way until all others have joined or left; then choose how to run the steps, and return a description."""
        self.joined[out] = trainer
        self.awaited.discard(out)
        yield  # the last one, too: all go on in the same round
        while self.awaited:
            yield
        if not (self.descriptions or self.alone):
            self.prepare()
        if out in self.descriptions:
            return self.descriptions[out]
        return f"{trainer.prepare()}; not as one model with the other seeds: {self.alone[out]}"

    def leave(self, out: Path) -> None:
        """Go on without this run."""
        self.awaited.discard(out)
        self.joined.pop(out, None)
        if self.descriptions.pop(out, None):
            self.alone[out] = "they have begun"  # where it is trained again

    def prepare(self) -> None:
        """Choose which trainers run their steps together: those at the same step, if it can be."""
        for step in {trainer.step for trainer in self.joined.values()}:
            together = {out: trainer for out, trainer in self.joined.items() if trainer.step == step}
            try:
                self.stack(list(together.values()))
                how = f"{len(together)} seeds as one model"
                self.descriptions |= {out: f"{how}, {runner_of(trainer)}" for out, trainer in together.items()}
            except CannotStack as error:
                self.alone |= dict.fromkeys(together, str(error))

    def stack(self, trainers: list[Trainer]) -> None:
        """Let the trainers run their steps as one model.

        Raises:
            CannotStack: they cannot.
        """
        if len(trainers) == 1:
            raise CannotStack("none of them is at the same step")
        shared = Lockstep(trainers, stacked_runner(trainers), self.joined)
        for trainer in trainers:
            trainer.runner, trainer.was_compiled = SharedRunner(shared, trainer), shared.runner.compiled


def runner_of(trainer: Trainer) -> str:
    """Return the description of how a trainer runs its steps."""
    assert trainer.runner
    return trainer.runner.description


class Lockstep:
    """Takes each portion of steps once, when the first of the trainers asks for it.

    Args:
        trainers: the trainers.
        runner: the runner of the steps of all.
        joined: the trainers that still train, among others.
    """

    def __init__(self, trainers: Sequence[Trainer], runner: EagerRunner, joined: Mapping[Path, Trainer]) -> None:
        self.trainers, self.runner, self.joined = trainers, runner, joined
        self.step = trainers[0].step
        """The steps taken so far."""
        self.epoch = -1
        self.agreement = (-1, False)
        """A step, and what the runs have agreed on after it."""

    def run(self, trainer: Trainer, steps: int, images: int) -> None:
        """Take ``steps`` steps on batches of ``images`` images, unless another trainer was here before."""
        if trainer.step < self.step:
            return
        going = [each for each in self.trainers if each in self.joined.values()]
        if any(each.step != self.step for each in going):
            raise RuntimeError("the runs of a stack must take turns, one portion of steps or one end of an epoch each")
        if trainer.epoch != self.epoch:
            self.epoch = trainer.epoch
            for each in going:
                each.loader.start(each.order(), each.step % each.steps_per_epoch)
        self.trainers[0].training_mode()  # its modules compute for all, also when its own run is over
        self.runner.run(steps, images)
        self.step += steps

    def agreed(self, step: int, wish: bool) -> bool:
        """Return the wish of the run that asked first after this step: checkpoints of one step go on as one model."""
        if self.agreement[0] != step:
            self.agreement = step, wish
        return self.agreement[1]


class SharedRunner(EagerRunner):
    """Runs the steps of one trainer of a stack."""

    def __init__(self, shared: Lockstep, trainer: Trainer) -> None:
        super().__init__(shared.runner.step, shared.runner.step_fn, trainer.sizes)
        self.shared, self.trainer = shared, trainer
        self.max_steps, self.description = shared.runner.max_steps, shared.runner.description

    def agreed(self, wish: bool) -> bool:
        """Return the wish of the run that asked first."""
        return self.shared.agreed(self.trainer.step, wish)

    def run(self, steps: int, images: int) -> None:
        """Take part in ``steps`` steps on batches of ``images`` images."""
        self.shared.run(self.trainer, steps, images)


def stacked_runner(trainers: Sequence[Trainer]) -> EagerRunner:
    """Return the runner of the steps of all trainers as one model. Their tensors become views of stacked ones.

    Raises:
        CannotStack: their steps cannot be taken as one, or do something else then.
    """
    first = trainers[0]
    if not all(isinstance(trainer.loader, DeviceLoader) for trainer in trainers):
        raise CannotStack("the images do not fit on the device")
    before = [copied(trainer.state()) for trainer in trainers]
    streams = [getattr(trainer.context, "stream", None) for trainer in trainers]

    def restore() -> None:
        for trainer, state in zip(trainers, before, strict=True):
            trainer.restore(state | {"wall_seconds": trainer.wall_seconds})

    for trainer in trainers:
        trainer.training_mode()
        trainer.loader.start(trainer.order(), 0)
        if trainer.context.on_cuda:
            trainer.context.stream = first.context.stream
    try:
        with first.context.active():
            step = StackedStep(trainers)
            restore()
            check_steps(step, restore)
            step.load()
            steps_left = first.recipe.training.epochs * first.steps_per_epoch - first.step
            key = f"{len(trainers)} as one {first.compile_key}"
            runner = choose_runner(
                step, first.recipe.execution, first.sizes, steps_left, first.was_compiled,
                first.context.reset_generator, key,
            )  # fmt: skip
            if step.on_cuda and first.recipe.execution.graph == "on" and not isinstance(runner, GraphRunner):
                raise CannotStack("the step of all cannot be captured as a CUDA graph")
    except Exception as error:  # a variant that vmap cannot take, or one for which there is no room
        for trainer, stream in zip(trainers, streams, strict=True):
            if stream is not None:
                trainer.context.stream = stream
            trainer.context.reset_generator()  # after a failed capture those that it draws from may refuse to go on
        if isinstance(error, CannotStack):
            raise
        raise CannotStack(f"{type(error).__name__}: {first_line(error)}") from error
    finally:
        restore()
    with first.context.active():  # on the stream that the steps read it on
        step.bind()
    return runner


def check_steps(step: StackedStep, restore: Callable[[], None]) -> None:
    """Take a few steps as one model, and of each model alone, and compare what came of them.

    Args:
        step: the step of all.
        restore: a function that puts the state of the trainers back.

    Raises:
        CannotStack: the losses or the buffers differ by more than rounding.
    """
    size, tolerance = step.trainers[0].sizes[0], TOLERANCE[step.trainers[0].recipe.execution.precision]
    step.load()
    step.means.clear()
    for _ in range(TRIAL_STEPS):
        step(size)
    restore()
    for index, trainer in enumerate(step.trainers):
        trainer.means.clear()
        with trainer.context.active():
            for _ in range(TRIAL_STEPS):
                trainer.take_step(size)
        same = torch.allclose(step.means.sums[:, index], trainer.means.sums, rtol=tolerance, equal_nan=True)
        alone = dict(ModelAndObjective(trainer.model, trainer.objective).named_buffers())
        for name, buffers in step.buffers.items():
            difference = (buffers[index] - alone[name]).abs().max()
            same = same and not difference > 100 * tolerance * (alone[name].abs().max() + tolerance)
        if not same:
            raise CannotStack("its steps as one model differ from those of each model alone")
    restore()
