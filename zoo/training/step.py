"""One optimisation step, as a function of tensors that keep their addresses.

Every number that changes from step to step is in a tensor: the step can be compiled as a whole, captured as a CUDA
graph and replayed.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from zoo.augmentations import Augmentations
from zoo.datasets import as_float
from zoo.inference.running_means import RunningMeans
from zoo.models.autoencoder import Autoencoder
from zoo.objectives import Objective, Terms
from zoo.schema.base import DatasetConfig
from zoo.training.accumulation import Gradients, accumulated, parts_of
from zoo.training.batches import DeviceLoader, StreamingLoader
from zoo.training.distributed import SINGLE_PROCESS, ProcessGroup
from zoo.training.optimizer import Optimizer

NOT_AUGMENTED = Augmentations(())
"""Images as they are."""


class Step:
    """Runs forward and backward pass, updates the parameters and sums the loss terms, for one batch at a time.

    Args:
        model: the model to train.
        objective: the objective that it minimises.
        optimizer: the optimizer of the parameters of both.
        loader: the source of the batches.
        data: the data section, which says how images become numbers.
        steps_per_epoch: batches in an epoch, for annealing, which counts in epochs.
        accumulate: the parts in which each batch goes through the model.
        augment: the random changes of the images.
        half: run matrix products and convolutions in bfloat16.
        group: the processes that share each batch.
    """

    def __init__(
        self,
        model: Autoencoder,
        objective: Objective,
        optimizer: Optimizer,
        loader: DeviceLoader | StreamingLoader,
        data: DatasetConfig,
        steps_per_epoch: int,
        *,
        accumulate: int = 1,
        augment: Augmentations = NOT_AUGMENTED,
        half: bool = False,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.model = model
        self.objective = objective
        self.optimizer = optimizer
        self.loader = loader
        self.data = data
        self.steps_per_epoch = steps_per_epoch
        self.accumulate = accumulate
        self.augment = augment
        self.half = half
        self.group = group
        self.means = RunningMeans(model.device)
        self.done = torch.zeros((), dtype=torch.int64, device=model.device)
        """The number of steps so far, int64, a scalar on the device."""

    def __call__(self, images: int) -> None:
        """Take the next step, whose batch has ``images`` images over all processes."""
        self.draw(images)
        self.update(images)

    @property
    def generators(self) -> list[torch.Generator]:
        """The generators of a GPU that the step draws from, besides the default one."""
        return []

    def draw(self, images: int) -> None:
        """Do what comes before :meth:`update` and cannot be compiled; here, nothing: the model draws its own noise."""

    def update(self, images: int) -> None:
        """Do the part of a step that can be compiled; see :meth:`__call__`."""
        share = self.group.share(images)
        batch, labels = self.loader.batch(self.done % self.steps_per_epoch, share)
        x = self.as_numbers(batch)

        def backward(index: int, part: slice) -> tuple[Terms, Gradients]:
            given = self.model.given(None if labels is None else labels[part])
            with self.precision():
                terms: Terms = self.objective(given, x[part], self.done.float() / self.steps_per_epoch)
            return terms, torch.autograd.grad(terms["loss"], self.optimizer.parameters, allow_unused=True)

        terms, gradients = accumulated(self.batch_parts(share), backward)
        logged = self.optimizer.update(self.over_processes(gradients, share / images), self.done)
        self.done.add_(1)
        self.means.add(terms | logged, share)

    def batch_parts(self, images: int) -> list[slice]:
        """Return the parts in which a batch of ``images`` images goes through the model."""
        return parts_of(images, self.accumulate)

    def as_numbers(self, batch: Tensor) -> Tensor:
        """Return uint8 images (B, C, H, W) as the model sees them in training: augmented, in [0, 1]."""
        return as_float(batch, self.data, self.augment)

    @property
    def on_cuda(self) -> bool:
        """True if the step can be captured as a CUDA graph."""
        return self.done.is_cuda

    def precision(self) -> AbstractContextManager[object]:
        """Return the context of the forward pass: autocast to bfloat16, or nothing."""
        return torch.autocast(self.done.device.type, torch.bfloat16) if self.half else nullcontext()

    def over_processes(self, gradients: Gradients, weight: float) -> Gradients:
        """Turn gradients of the mean over this process's share into those of the mean over the whole batch.

        Args:
            gradients: the gradient of each parameter, or None.
            weight: the part of the batch that the share is.
        """
        if self.group.size == 1:
            return gradients
        sums = iter(self.group.summed([gradient for gradient in gradients if gradient is not None], weight))
        return [None if gradient is None else next(sums) for gradient in gradients]
