"""What a run trains and its whole state, which can be read at any step and restored later, to the same bits."""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.augmentations import Augmentations
from zoo.datasets import ImageSet, split_off
from zoo.errors import ZooError
from zoo.objectives import build_objective
from zoo.schema.recipe import Recipe
from zoo.system.allocator import keep_freed_memory
from zoo.system.cores import Threads, choose_threads
from zoo.system.randomness import seed_default_generators
from zoo.system.seeds import mixed_seed
from zoo.training.batches import batch_sizes, loader_of, to_device_if_it_fits
from zoo.training.conv_backend import Layout, with_conv_backend
from zoo.training.distributed import SINGLE_PROCESS, ProcessGroup, noise_seed
from zoo.training.epoch_evaluation import EpochEvaluation
from zoo.training.go_on import going_on
from zoo.training.optimizer import Optimizer
from zoo.training.parameter_names import named_parameters
from zoo.training.run_context import RunContext
from zoo.training.runners import EagerRunner
from zoo.training.selection import Selection
from zoo.training.snapshots import SnapshotRecorder
from zoo.training.start import freeze, initial_model, without_labels
from zoo.training.state import check_same_run, recipe_of
from zoo.training.step import Step

EpochRecord = dict[str, Any]
"""The record of one epoch: its number, the steps so far, the learning rate, the means of the loss terms (train: over
the epoch's batches, in training mode; test and, where there are such images, validation: after the epoch, in eval
mode), the mean norm of the gradients where they are clipped, and the seconds of training so far."""


class RunState:
    """The model, objective, optimizer and images of one recipe, the step that trains them, and how far it has come.

    Args:
        recipe: the recipe to train.
        train: the training images; those for validation are cut off here.
        test: the test images, which are only measured.
        device: the device to train on.
        group: the processes that train together.

    Raises:
        ZooError: the variant cannot take the images, or a batch is too small.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: ImageSet,
        test: ImageSet,
        device: torch.device,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.started = time.perf_counter()
        self.recipe = recipe
        self.group = group
        self.device = device = torch.empty(0, device=device).device  # with its index
        if device.type == "cpu":
            keep_freed_memory()
        train, validation = split_off(train, recipe.training.validation)
        self.data_digests = [images.digest for images in (train, test, validation) if images]
        self.sizes = batch_sizes(len(train), recipe.training.batch_size, least=2 * group.size)
        threads = choose_threads(recipe.execution.threads, torch.get_num_threads()) if device.type == "cpu" else None
        self.context = RunContext(device, recipe.execution.precision, threads)
        with self.context.active():
            seed_default_generators(recipe.training.seed, device)
            model, self.start_note = initial_model(recipe)
            self.model = with_conv_backend(model.to(device), recipe.execution.convolutions)
            self.frozen = freeze(self.model, recipe.training.freeze)
            self.objective = build_objective(recipe, self.model, len(train)).to(device)
            parameters = named_parameters(self.model, self.objective)
            self.optimizer = Optimizer(recipe.optimizer, parameters, self.steps_per_epoch)
            self.train_set = to_device_if_it_fits(train, device)
            self.test_set = to_device_if_it_fits(test, device)
            self.evaluation = EpochEvaluation(self.test_set, recipe.data, self.model, self.objective)
            self.validation: EpochEvaluation | None = None
            if validation:
                held_out = to_device_if_it_fits(validation, device)
                self.validation = EpochEvaluation(held_out, recipe.data, self.model, self.objective)
            self.check_batches()
            size = recipe.training.batch_size
            images = self.train_set if self.model.classes else replace(self.train_set, labels=None)
            self.loader = loader_of(images, size, device, group)
            self.take_step = Step(
                self.model, self.objective, self.optimizer, self.loader, recipe.data, self.steps_per_epoch,
                accumulate=recipe.training.accumulate, augment=Augmentations(recipe.training.augment),
                half=recipe.execution.precision == "bf16", group=group,
            )  # fmt: skip
            if group.rank:  # each share of a batch has noise of its own
                seed_default_generators(noise_seed(recipe.training.seed, group.rank), device)
        self.means = self.take_step.means
        self.runner: EagerRunner | None = None
        self.was_compiled: bool | None = None
        self.layout: Layout | None = None
        self.step = 0
        self.drawn_order: tuple[int, torch.Tensor] | None = None
        self.history: list[EpochRecord] = []
        self.earlier: list[dict[str, int]] = []
        """The parts of the run before it went on for another number of epochs."""
        self.replaces: str | None = None
        """The sha256 of the weights of the finished run that this one goes on from, and will replace."""
        select = recipe.training.select
        self.selection = Selection(select, group, device) if select else None
        with self.context.active():
            every = recipe.execution.snapshot_epochs
            self.snapshots = SnapshotRecorder(test, recipe.data, recipe.training.epochs, every)
            self.snapshots.take(self.model, 0)
        self.seconds = 0.0
        self.clock = 0.0

    def check_batches(self) -> None:
        """Refuse images or batches that do not suit the model or the number of processes.

        Raises:
            ZooError: a conditional model gets images without labels or with labels beyond its classes, or a batch is
                too small for BatchNorm or for the processes.
        """
        for images in (self.train_set, self.test_set, *([self.validation.images] if self.validation else [])):
            if self.model.classes and images.labels is None:
                raise without_labels(self.recipe)
            self.model.check_labels(images.labels)
        share = self.group.share(min(self.sizes))
        if share < 2 and any(isinstance(module, _BatchNorm) for module in self.model.modules()):
            raise ZooError("BatchNorm needs at least two images in a batch; raise training.batch_size")
        if share < 1:
            raise ZooError(f"a batch of {min(self.sizes)} has no image for some of {self.group.size} processes")

    def training_mode(self) -> None:
        """Put the model in training mode, but for the modules that are frozen."""
        self.model.train()
        for module in self.frozen:
            module.eval()

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in an epoch."""
        return len(self.sizes)

    @property
    def epoch(self) -> int:
        """The number of completed epochs."""
        return self.step // self.steps_per_epoch

    @property
    def done(self) -> bool:
        """True if the recipe's last step is taken or its patience over, and the images are measured after that."""
        return not self.steps_left and self.history[-1:] != [] and self.history[-1]["step"] == self.step

    @property
    def steps_left(self) -> int:
        """The number of steps to the end, 0 if patience is over."""
        if self.selection and self.selection.exhausted(self.epoch):
            return 0
        return max(0, self._last_step - self.step)

    @property
    def _last_step(self) -> int:
        training = self.recipe.training
        whole = training.epochs * self.steps_per_epoch
        return min(whole, training.steps or whole)

    @property
    def between_epochs(self) -> bool:
        """True if an epoch has just ended, and the next one has not begun."""
        return self.step % self.steps_per_epoch == 0

    def take_selected(self) -> None:
        """Give the model the weights of the epoch that the validation images have chosen, if they choose."""
        if self.selection and self.selection.epoch:
            self.model.load_state_dict(self.selection.weights)

    @property
    def wall_seconds(self) -> float:
        """The seconds since the trainer was made, with compiling, checkpoints and the turns of other runs.

        A resumed run goes on counting from its checkpoint: the time in which nothing ran does not count.
        """
        return time.perf_counter() - self.started

    def log(self) -> str:
        """Return the records of all epochs as JSON, one a line."""
        return "".join(json.dumps(row) + "\n" for row in self.history)

    def state(self) -> dict[str, Any]:
        """Return everything that :meth:`restore` needs to continue to the same bits; the tensors are the live ones.

        Every process of the run has to call this.
        """
        random = {name: self.group.gather(part.to(self.device)) for name, part in self.context.random_state().items()}
        return {
            "recipe": self.recipe.to_dict(),
            "data": self.data_digests,
            "device": self.device.type,
            "threads": self.context.threads.number,
            "compiled": self.was_compiled,
            "layout": self.layout,
            "test_batch": self.evaluation.batch,
            "validation_batch": self.validation and self.validation.batch,
            "step": self.step,
            "seconds": self.seconds,
            "wall_seconds": self.wall_seconds,
            "history": self.history,
            "earlier": self.earlier,
            "replaces": self.replaces,
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": random,
            "totals": self._totals(),
            "snapshots": self.snapshots.state(),
            "selection": self.selection and self.selection.state(),
        }

    def _totals(self) -> dict[str, Any]:
        """Return the sums of the epoch so far: of several processes, those of each, by rank."""
        totals = self.means.state()
        if self.group.size == 1:
            return totals
        return totals | {name: self.group.gather(totals[name]) for name in ("sums", "finite")}

    def _own_totals(self, totals: dict[str, Any]) -> dict[str, Any]:
        """Return this process's part of what :meth:`_totals` has returned, in this version or an earlier one."""
        parts = {name: totals[name] for name in ("sums", "finite")}
        return totals | {
            name: part[self.group.rank] if isinstance(part, list) else part  # once, all had those of the first
            for name, part in parts.items()
        }

    def _go_on(self, state: dict[str, Any]) -> None:
        """Refuse the state of another run; take on what a recipe must say that the run goes on with."""
        recipe, before = self.recipe, recipe_of(state)
        check_same_run(state, going_on(before, recipe, 0), self.data_digests, self.device, self.group.size)
        self.recipe = going_on(before, recipe, -(-state["step"] // self.steps_per_epoch))
        self.earlier, self.replaces = list(state.get("earlier", [])), state.get("replaces")
        if before.training.epochs != self.recipe.training.epochs:
            self.earlier.append({"epochs": before.training.epochs, "steps": state["step"]})
        if state["step"] > self._last_step:
            begun = f"--set training.epochs={before.training.epochs} goes on as it was begun"
            remedy = begun if before.training.epochs > self.recipe.training.epochs else "ask for more"
            raise ZooError(
                f"the run has taken {state['step']:,} steps already, more than training.epochs and training.steps "
                f"allow ({self._last_step:,}); {remedy}, or use --overwrite"
            )
        if state["device"] != self.device.type and state["step"] < self._last_step:
            warnings.warn(
                f"the run was started on {state['device']} and continues on {self.device.type}: its noise and its "
                f"rounding are others from here on",
                stacklevel=3,
            )

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that :meth:`state` has returned. Tensors keep their addresses; their content is copied.

        Raises:
            ZooError: the state is one of another recipe, other images or another number of processes.
        """
        same_device = state["device"] == self.device.type  # else what was chosen for the other does not hold here
        self._go_on(state)
        self.step, self.seconds, self.history = state["step"], state["seconds"], list(state["history"])
        if self.history and self.history[-1]["step"] % self.steps_per_epoch and self.step < self._last_step:
            self.history.pop()  # of a part of an epoch, which goes on
        self.started = time.perf_counter() - state.get("wall_seconds", state["seconds"])
        if same_device:
            self.was_compiled, self.layout = state["compiled"], state.get("layout")
            self.evaluation.batch = state.get("test_batch", self.evaluation.usual_batch)
            if self.validation:
                self.validation.batch = state["validation_batch"]
        if same_device and self.recipe.execution.threads == "auto" and self.context.threads.number != state["threads"]:
            self.context.threads = Threads(state["threads"], "as before")
        with self.context.active():
            if self.selection:
                self.selection.restore(state["selection"])
            self.model.load_state_dict(state["model"])
            self.objective.load_state_dict(state["objective"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.means.restore(self._own_totals(state["totals"]))
            self.snapshots.restore(state.get("snapshots"))
            self.take_step.done.fill_(self.step)
            if same_device:
                mine = {name: parts[self.group.rank].cpu() for name, parts in state["random"].items()}
                self.context.set_random_state(mine)
            else:  # not from the beginning, whose noise it has had
                self.context.seed(noise_seed(mixed_seed(self.recipe.training.seed, self.step), self.group.rank))
