"""The training loop: one recipe, one device, from any step to the last.

Nothing inside an epoch waits for the device, except a checkpoint. A trainer's whole state can be taken at any step and
put back later; the run that goes on from there ends with the same bits.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.datasets import ImageSet
from zoo.errors import ZooError
from zoo.inference.loops import epoch_permutation, mean_terms
from zoo.models.build import build
from zoo.objectives import build_objective
from zoo.schema.recipe import Recipe
from zoo.system.devices import random_state, set_random_state
from zoo.training.batches import DeviceLoader, StreamingLoader, batch_sizes, equal_batches, to_device_if_it_fits
from zoo.training.checkpoint import check_same_run, copied
from zoo.training.conv_backend import with_conv_backend
from zoo.training.distributed import SINGLE_PROCESS, ProcessGroup, noise_seed
from zoo.training.execution import EagerRunner, choose_runner
from zoo.training.optimizer import Optimizer
from zoo.training.run_context import RunContext
from zoo.training.snapshots import SnapshotRecorder
from zoo.training.step import Step

EpochRecord = dict[str, Any]
"""One epoch: its number, the steps so far, the learning rate, the means of the loss terms (train: over the epoch's
batches, in training mode; test: after the epoch, in eval mode) and the seconds of training so far."""


NO_BATCH = 2**62
"""Stands for "no batch diverged" when processes compare the first batch that did; larger than any batch number."""


class Divergence(ZooError):
    """A loss term is no longer finite."""


class Trainer:
    """A model in training.

    Args:
        recipe: what to train.
        train, test: the images; the test images are only measured.
        device: where.
        group: the processes that train it together.

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
        self.recipe = recipe
        self.group = group
        self.device = device = torch.empty(0, device=device).device  # with its index
        self.data_digests = [train.digest, test.digest]
        self.sizes = batch_sizes(len(train), recipe.training.batch_size, least=2 * group.size)
        self.context = RunContext(device, recipe.execution.precision)
        with self.context.active():
            torch.manual_seed(recipe.training.seed)
            self.model = with_conv_backend(build(recipe).to(device), recipe.execution.convolutions)
            self.objective = build_objective(recipe).to(device)
            self.optimizer = Optimizer(recipe.optimizer, [*self.model.parameters(), *self.objective.parameters()])
            self.train_set = to_device_if_it_fits(train, device)
            self.test_set = to_device_if_it_fits(test, device)
            self.check_batches()
            size = recipe.training.batch_size
            images = self.train_set if self.model.classes else replace(self.train_set, labels=None)
            self.loader = (
                DeviceLoader(images, size, group)
                if images.images.device == device
                else StreamingLoader(images, size, device, group)
            )
            self.take_step = Step(
                self.model, self.objective, self.optimizer, self.loader, recipe.data, self.steps_per_epoch,
                half=recipe.execution.precision == "bf16", group=group,
            )  # fmt: skip
            if group.rank:  # each share of a batch has noise of its own
                torch.manual_seed(noise_seed(recipe.training.seed, group.rank))
        self.means = self.take_step.means
        self.runner: EagerRunner | None = None
        self.was_compiled: bool | None = None
        self.step = 0
        self.history: list[EpochRecord] = []
        with self.context.active():
            every = recipe.execution.snapshot_epochs
            self.snapshots = SnapshotRecorder(test, recipe.data, recipe.training.epochs, every)
            self.snapshots.take(self.model, 0)
        self.seconds = 0.0
        self.clock = 0.0

    def check_batches(self) -> None:
        """Refuse batches that the model or the number of processes cannot do with."""
        for images in (self.train_set, self.test_set):
            if self.model.classes and images.labels is None:
                names = self.recipe.data.name, self.recipe.model.variant
                raise ZooError("the dataset {!r} has no labels; {} needs one that has".format(*names))
            self.model.check_labels(images.labels)
        share = self.group.share(min(self.sizes))
        if share < 2 and any(isinstance(module, _BatchNorm) for module in self.model.modules()):
            raise ZooError("BatchNorm needs at least two images in a batch; raise training.batch_size")
        if share < 1:
            raise ZooError(f"a batch of {min(self.sizes)} has no image for some of {self.group.size} processes")

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return len(self.sizes)

    @property
    def epoch(self) -> int:
        """Epochs done, in whole."""
        return self.step // self.steps_per_epoch

    @property
    def done(self) -> bool:
        """Whether the recipe's last epoch is over."""
        return self.epoch >= self.recipe.training.epochs

    def prepare(self) -> str:
        """Choose how to run the steps, which warms up and may compile; says what was chosen. No state changes."""
        with self.context.active():
            before = copied(self.state())
            self.model.train()
            self.loader.start(self.order(), 0)
            steps_left = self.recipe.training.epochs * self.steps_per_epoch - self.step
            self.runner = choose_runner(
                self.take_step,
                self.recipe.execution,
                self.sizes,
                steps_left,
                self.was_compiled,
                self.context.reset_generator,
            )
            self.was_compiled = self.runner.compiled
            self.restore(before | {"compiled": self.was_compiled})
            if self.device.type == "cuda":
                torch.cuda.empty_cache()  # of the runner that was not chosen
        return self.runner.description

    def order(self) -> torch.Tensor:
        """The order of the images in the current epoch."""
        return epoch_permutation(len(self.train_set), self.recipe.training.seed, self.epoch)

    def train_steps(self) -> Iterator[int]:
        """Enqueue the rest of the epoch's steps on the device, and say after each portion how many images it had.

        The steps may still be running when this ends. It may be left at any point; the next call goes on from there.
        """
        if not self.runner:
            self.prepare()
        assert self.runner
        self._count_time(from_now=True)
        with self.context.active():
            self.optimizer.set_rate(self.epoch, self.recipe.training.epochs)
            self.loader.start(self.order(), self.step % self.steps_per_epoch)
        self.model.train()
        for steps, images in equal_batches(self.sizes[self.step % self.steps_per_epoch :], self.runner.max_steps):
            with self.context.active():
                self.runner.run(steps, images)
            self.step += steps
            self._count_time()
            yield steps * images

    def end_epoch(self) -> EpochRecord:
        """Wait for the epoch's steps and measure the test images.

        Raises:
            Divergence: a term was NaN or infinite; says at which step and which term.
        """
        epoch = self.epoch - 1
        # Annealing stands where it stood in the last step, so that both curves show the same loss.
        now = (self.step - 1) / self.steps_per_epoch
        with self.context.active():
            (sums,) = self.group.summed([self.means.sums])
            self.means.sums.copy_(sums)
            rate = self.optimizer.set_rate(epoch, self.recipe.training.epochs)
            test = self.test_terms(now)
            row: EpochRecord = {
                "epoch": epoch + 1,
                "step": self.step,
                "learning_rate": rate,
                "train": self.means.means(),
                "test": test,
            }
        self.check_finite()
        broken = [name for name, value in test.items() if not math.isfinite(value)]
        if self.group.largest(len(broken), self.device):  # BatchNorm's averages, say, which only the test images use
            self._diverged(f"the term {(broken or ['loss'])[-1]!r} of the test images was", self.step)
        with self.context.active():
            self.means.clear()
            self.snapshots.take(self.model, self.epoch)
        self._count_time()
        row["seconds"] = round(self.seconds, 3)
        self.history.append(row)
        return row

    def test_terms(self, epoch: float) -> dict[str, float]:
        """The objective's own terms on the test images, as they are after so many epochs."""
        now = torch.tensor(epoch, device=self.device)
        return mean_terms(self.test_set, self.recipe.data, self.model, lambda model, x: self.objective(model, x, now))

    def run_epoch(self, on_step: Callable[[int], bool] = lambda images: False) -> EpochRecord | None:
        """Train to the end of the epoch and measure the test images.

        Args:
            on_step: called after each portion with the number of images in it; stops the epoch by returning True.

        Returns:
            The epoch's row, or None if it was stopped on the way; calling again goes on.

        Raises:
            Divergence: as :meth:`end_epoch`.
        """
        for images in self.train_steps():
            if on_step(images) and self.step % self.steps_per_epoch:
                return None
        return self.end_epoch()

    def check_finite(self) -> None:
        """Raise Divergence if a term of this epoch's steps, or a weight, is not finite; waits for the device."""
        with self.context.active():
            mine = self.means.divergence()
            # Each process has only its own shares: the first batch that broke in any of them.
            batch = -self.group.largest(-mine[0] if mine else -NO_BATCH, self.device)
            weights = torch.stack([parameter.isfinite().all() for parameter in self.optimizer.parameters])
            weights_broke = self.group.largest(int(not weights.all()), self.device)
        done = self.step % self.steps_per_epoch or self.steps_per_epoch
        if batch < NO_BATCH:
            term = mine[1] if mine and mine[0] == batch else "loss"
            self._diverged(f"the term {term!r} was", self.step - done + batch + 1)
        if weights_broke:  # in the last step, whose loss was still finite
            self._diverged("the weights were", self.step)

    def _diverged(self, what: str, step: int) -> None:
        epoch = (step - 1) // self.steps_per_epoch + 1
        raise Divergence(f"training diverged: {what} no longer finite at step {step} (epoch {epoch})")

    def _count_time(self, from_now: bool = False) -> None:
        now = time.perf_counter()
        if not from_now:
            self.seconds += now - self.clock
        self.clock = now

    def log(self) -> str:
        """The rows as JSON, one a line."""
        return "".join(json.dumps(row) + "\n" for row in self.history)

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`restore` needs to go on from here to the same bits; the tensors are the live ones.

        Every process of the run has to call it.
        """
        with self.context.active():
            random = {name: self.group.gather(part.to(self.device)) for name, part in random_state(self.device).items()}
        return {
            "recipe": self.recipe.to_dict(),
            "data": self.data_digests,
            "device": self.device.type,
            "threads": torch.get_num_threads(),
            "compiled": self.was_compiled,
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": random,
            "totals": self.means.state(),
            "snapshots": self.snapshots.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave. Tensors are copied into; none is replaced.

        Raises:
            ZooError: the state is of a run with another recipe, other data, or another kind or number of devices.
        """
        check_same_run(state, self.recipe, self.data_digests, self.device, self.group.size)
        self.step, self.seconds, self.history = state["step"], state["seconds"], list(state["history"])
        self.was_compiled = state["compiled"]
        with self.context.active():
            self.model.load_state_dict(state["model"])
            self.objective.load_state_dict(state["objective"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.means.restore(state["totals"])
            self.snapshots.restore(state.get("snapshots"))
            self.take_step.done.fill_(self.step)
            mine = {name: parts[self.group.rank].cpu() for name, parts in state["random"].items()}
            set_random_state(self.device, mine)
