"""The zoo's own trainer, for one model or several at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch

from tests.benchmarks.contestants import Contestant
from zoo.datasets import ImageSet
from zoo.schema.recipe import Recipe, parse_recipe
from zoo.training.trainer import Trainer


class Ours(Contestant):
    """:class:`zoo.training.trainer.Trainer`, as ``zoo train`` runs it.

    Args:
        recipe: what to train.
        train, test: its images.
        device: where.
        models: how many to train at once, from as many seeds.
    """

    def __init__(self, recipe: Recipe, train: ImageSet, test: ImageSet, device: torch.device, models: int) -> None:
        threads = {"threads": torch.get_num_threads()}  # the same as the others', whatever else the machine does
        recipe = recipe.model_copy(update={"execution": recipe.execution.model_copy(update=threads)})
        seeds = range(recipe.training.seed, recipe.training.seed + models)
        self.trainers = [Trainer(with_seed(recipe, seed), train, test, device) for seed in seeds]
        self.models = [trainer.model for trainer in self.trainers]
        self.how = [trainer.prepare() for trainer in self.trainers][0]  # the same for all: they differ in their seeds

    def train_epoch(self) -> None:
        """Every step of an epoch."""
        if len(self.trainers) > 1:
            interleave(self.trainers)
        else:
            for _ in self.trainers[0].train_steps():
                pass

    def end_epoch(self) -> None:
        """Measure the test images, as the trainer does after every epoch."""
        for trainer in self.trainers:
            trainer.end_epoch()


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """The recipe with another seed."""
    fields = recipe.to_dict()
    fields["training"]["seed"] = seed
    return parse_recipe(fields)


def interleave(trainers: Sequence[Trainer]) -> None:
    """Train one epoch of each trainer, taking turns, without measuring test images, and wait for the device.

    On a CPU one trainer follows another: taking turns would only cool the caches.
    """
    running = deque(trainer.train_steps() for trainer in trainers)
    while running:
        turns = running.popleft()
        if next(turns, None) is not None:
            add = running.append if trainers[0].device.type == "cuda" else running.appendleft
            add(turns)
    if trainers[0].device.type == "cuda":
        torch.cuda.synchronize(trainers[0].device)
