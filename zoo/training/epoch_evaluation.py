"""Measuring the test images after an epoch, without a wait for the device."""

from __future__ import annotations

import torch

from zoo.datasets import ImageSet
from zoo.inference.loops import SEED, epoch_permutation, eval_batch_size, running_terms
from zoo.inference.running_means import RunningMeans
from zoo.models import Autoencoder, Model
from zoo.objectives import Objective, Terms
from zoo.schema.base import DatasetConfig

BATCHES_AT_ONCE = 10
"""The usual batches that a GPU takes as one: 10,000 images of MNIST keep it busy, 1,000 do not."""


class EpochEvaluation:
    """Sums an objective's terms over the test images.

    Args:
        images: the test images.
        data: the data section, which says how images become numbers.
        model: the model to measure.
        objective: the objective whose terms are measured.
    """

    def __init__(self, images: ImageSet, data: DatasetConfig, model: Autoencoder, objective: Objective) -> None:
        self.images = images
        self.data = data
        self.model = model
        self.objective = objective
        order = epoch_permutation(len(images), SEED, 0) if objective.of_batch else None
        self.order = None if order is None else order.to(images.images.device)
        self.usual_batch = self.batch = eval_batch_size(images.images.shape[1:])
        if model.device.type == "cuda" and data.binarization != "dynamic":  # whose pixels depend on the batch
            self.batch *= BATCHES_AT_ONCE

    def run(self, epoch: float) -> RunningMeans:
        """Return the sums of the terms, still on the device.

        Where memory does not suffice for a batch, it is halved down to the usual size, for good.

        Args:
            epoch: epochs done, with a fractional part, which annealed terms depend on.
        """
        # torch.tensor() would copy a number, and wait
        now = torch.full((), epoch, dtype=torch.float32, device=self.model.device)

        def terms(model: Model, x: torch.Tensor) -> Terms:
            found: Terms = self.objective(model, x, now)
            return found

        while True:
            try:
                return running_terms(
                    self.images, self.data, self.model, terms, self.batch, order=self.order, parts=[self.objective]
                )
            except torch.OutOfMemoryError:
                if self.batch == self.usual_batch:
                    raise
                self.batch = max(self.usual_batch, self.batch // 2)
