"""The training loop: one recipe, one device, from any step to the last.

Nothing inside an epoch waits for the device. A trainer's whole state can be taken at any step and put back later; the
run that goes on from there ends with the same bits.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.builder import build, build_objective
from zoo.data import ImageSet, as_float
from zoo.devices import random_state, set_random_state
from zoo.errors import ZooError
from zoo.evaluation import objective_terms
from zoo.schema import Recipe
from zoo.totals import Totals
from zoo.training.batches import batches, cut, epoch_order, place
from zoo.training.optimizers import build_optimizer, set_learning_rate

METRICS_FILE = "metrics.jsonl"

Row = dict[str, Any]
"""One epoch: its number, the steps so far, the learning rate, the means of the loss terms (train: over the epoch's
batches, in training mode; test: after the epoch, in eval mode) and the seconds of training so far."""


class Divergence(ZooError):
    """A loss term is no longer finite."""


class Trainer:
    """A model in training.

    Args:
        recipe: what to train.
        train, test: the images; the test images are only measured.
        device: where.

    Raises:
        ZooError: the variant cannot take the images.
    """

    def __init__(self, recipe: Recipe, train: ImageSet, test: ImageSet, device: torch.device) -> None:
        self.recipe = recipe
        torch.manual_seed(recipe.training.seed)
        self.model = build(recipe).to(device)
        self.device = device = self.model.device  # with its index
        self.data_digests = [train.digest, test.digest]
        self.objective = build_objective(recipe).to(device)
        self.optimizer = build_optimizer(recipe.optimizer, [*self.model.parameters(), *self.objective.parameters()])
        self.train_images = place(train.images, device)
        self.test_images = place(test.images, device)
        self.steps_per_epoch = len(cut(torch.empty(len(train)), recipe.training.batch_size))
        smallest = min(len(train), recipe.training.batch_size)
        if smallest < 2 and any(isinstance(module, _BatchNorm) for module in self.model.modules()):
            raise ZooError("BatchNorm needs at least two images in a batch; raise training.batch_size")
        self.step = 0
        self.totals = Totals(device)
        self.history: list[Row] = []
        self.seconds = 0.0

    @property
    def epoch(self) -> int:
        """Epochs done, in whole."""
        return self.step // self.steps_per_epoch

    @property
    def done(self) -> bool:
        """Whether the recipe's last epoch is over."""
        return self.epoch >= self.recipe.training.epochs

    def run_epoch(self, on_step: Callable[[int], bool] = lambda images: False) -> Row | None:
        """Train to the end of the epoch and measure the test images.

        Args:
            on_step: called after each step with the number of images in it; stops the epoch by returning True.

        Returns:
            The epoch's row, or None if it was stopped on the way; calling again goes on.

        Raises:
            Divergence: a term was NaN or infinite; says at which step and which term.
        """
        training, epoch, started = self.recipe.training, self.epoch, time.perf_counter()
        rate = set_learning_rate(self.optimizer, self.recipe.optimizer, epoch, training.epochs)
        order = epoch_order(len(self.train_images), training.seed, epoch)
        elapsed = torch.zeros((), device=self.device)  # epochs, for annealing
        self.model.train()

        skip = self.step % self.steps_per_epoch
        for batch in batches(self.train_images, order, training.batch_size, self.device, skip):
            elapsed.fill_(self.step / self.steps_per_epoch)
            terms = self.objective(self.model, as_float(batch, self.recipe.data), elapsed)
            self.optimizer.zero_grad()
            terms["loss"].backward()
            self.optimizer.step()
            self.step += 1
            self.totals.add(terms, len(batch), self.step)
            if on_step(len(batch)) and self.step % self.steps_per_epoch:
                self.seconds += time.perf_counter() - started
                return None

        row: Row = {
            "epoch": epoch + 1,
            "step": self.step,
            "learning_rate": rate,
            "train": self.totals.means(),
            "test": objective_terms(
                self.model, self.objective, self.test_images, self.recipe.data, elapsed.item()
            ),  # with the weight of the last step, so that the curves can be compared
        }
        self.check_finite()
        broken = [name for name, value in row["test"].items() if not math.isfinite(value)]
        if broken:  # by the last step, which only the test images show
            self._diverged(self.step, broken[-1])
        self.totals = Totals(self.device)
        self.seconds += time.perf_counter() - started
        row["seconds"] = round(self.seconds, 3)
        self.history.append(row)
        return row

    def check_finite(self) -> None:
        """Raise Divergence if a term of this epoch's steps was not finite; waits for the device."""
        divergence = self.totals.divergence()
        if divergence:
            self._diverged(*divergence)

    def _diverged(self, step: int, term: str) -> None:
        epoch = (step - 1) // self.steps_per_epoch + 1
        raise Divergence(f"training diverged: the term {term!r} was no longer finite at step {step} (epoch {epoch})")

    def log(self) -> str:
        """The rows as JSON, one a line."""
        return "".join(json.dumps(row) + "\n" for row in self.history)

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`restore` needs to go on from here to the same bits."""
        return {
            "recipe": self.recipe.digest(),
            "data": self.data_digests,
            "device": self.device.type,
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": random_state(self.device),
            "totals": self.totals.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave.

        Raises:
            ZooError: the state is of a run with another recipe, other data or another kind of device.
        """
        if state["recipe"] != self.recipe.digest():
            raise ZooError("the checkpoint is of a run with another recipe; resume with that one, or use --overwrite")
        if state["data"] != self.data_digests:
            raise ZooError("the images have changed since the checkpoint was written; start again with --overwrite")
        if state["device"] != self.device.type:
            raise ZooError(f"the run was begun on another kind of device; resume with --device {state['device']}")
        self.step, self.seconds, self.history = state["step"], state["seconds"], state["history"]
        self.model.load_state_dict(state["model"])
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.totals.restore(state["totals"])
        set_random_state(self.device, state["random"])
