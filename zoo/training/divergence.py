"""Finding the step at which a training diverged, from what was recorded on the device."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.inference.running_means import ReadMeans
from zoo.training.distributed import ProcessGroup

NO_BATCH = 2**62
"""Stands for "no batch diverged" when processes compare the first batch that did; larger than any batch number."""


class Divergence(ZooError):
    """A loss term or a weight is no longer finite."""

    @classmethod
    def at(cls, what: str, step: int, steps_per_epoch: int) -> Divergence:
        """Make the message: what was not finite, at which step of which epoch."""
        epoch = (step - 1) // steps_per_epoch + 1
        return cls(f"training diverged: {what} no longer finite at step {step} (epoch {epoch})")


def all_finite(parameters: Iterable[Tensor]) -> Tensor:
    """Return a bool on the device, true if every weight is finite."""
    filled = [weights for weights in parameters if weights.numel()]
    extremes = [extreme for weights in filled for extreme in torch.aminmax(weights)]  # NaN, where there is one
    return torch.stack(extremes).isfinite().all()


def check_finite(
    terms: ReadMeans, weights_finite: bool, group: ProcessGroup, device: torch.device, step: int, steps_per_epoch: int
) -> None:
    """Check that every term of this epoch's steps and every weight is finite.

    Args:
        terms: the record of the epoch's terms in this process.
        weights_finite: the result of :func:`all_finite`.
        group: the processes of the run, each of which has its own shares of the batches.
        device: the device of this process.
        step: the steps so far.
        steps_per_epoch: the steps in an epoch.

    Raises:
        Divergence: a term or a weight is not finite; the message names the step.
    """
    mine = terms.divergence()
    batch = -group.largest(-mine[0] if mine else -NO_BATCH, device)  # the first that broke in any process
    weights_broke = group.largest(int(not weights_finite), device)
    done = step % steps_per_epoch or steps_per_epoch
    if batch < NO_BATCH:
        term = mine[1] if mine and mine[0] == batch else "loss"
        raise Divergence.at(f"the term {term!r} was", step - done + batch + 1, steps_per_epoch)
    if weights_broke:  # in the last step, whose loss was still finite
        raise Divergence.at("the weights were", step, steps_per_epoch)
