"""The choice of the epoch whose weights are kept, by the validation images, and the end of a training in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError, suggest
from zoo.schema.run_config import Selected
from zoo.schema.sections import Select
from zoo.training.distributed import ProcessGroup


def check_metric(settings: Select, terms: Iterable[str]) -> None:
    """Refuse to select by something that the objective does not compute.

    Raises:
        ZooError: the metric is none of its ``terms``.
    """
    known = list(terms)
    if settings.metric not in known:
        name = settings.metric
        raise ZooError(
            f"training.select.metric: the objective has no term {name!r}{suggest(name, known)}; "
            f"its terms are {', '.join(known)}"
        )


class Selection:
    """Keeps a copy of the weights of the epoch in which a term of the validation images was smallest.

    Args:
        settings: the term, and the patience.
        group: the processes that train together; the first one decides for all.
        device: the device of this process.
    """

    def __init__(self, settings: Select, group: ProcessGroup, device: torch.device) -> None:
        self.settings, self.group, self.device = settings, group, device
        self.epoch = 0
        """The number of the best epoch so far, 0 before the first."""
        self.value = float("inf")
        self.weights: dict[str, Tensor] = {}

    def consider(self, epoch: int, terms: Mapping[str, float], weights: Mapping[str, Tensor]) -> None:
        """Keep a copy of the weights if the epoch is the best so far; of equal ones, the first.

        Args:
            epoch: the number of the epoch that has ended.
            terms: the means of the terms over the validation images.
            weights: the weights that they were measured with.
        """
        check_metric(self.settings, terms)
        value = terms[self.settings.metric]
        better = self.group.rank == 0 and value < self.value
        if self.group.largest(int(better), self.device):
            self.epoch, self.value = epoch, value
            self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()}

    def exhausted(self, epoch: int) -> bool:
        """Return whether the last epochs, as many as the patience, were no better than the best before them."""
        patience = self.settings.patience
        return patience is not None and self.epoch > 0 and epoch - self.epoch >= patience

    def record(self, epochs: int) -> Selected | None:
        """Return what the run folder says after so many epochs; None where no epoch was considered."""
        if not self.epoch:
            return None
        return Selected(epoch=self.epoch, epochs=epochs, metric=self.settings.metric, value=self.value)

    def describe(self, epochs: int) -> str:
        """Say which of so many epochs is kept."""
        why = f"validation {self.settings.metric} {self.value:.2f}"
        return f"keeping the weights of epoch {self.epoch} of {epochs} ({why})"

    def state(self) -> dict[str, Any]:
        """Return the state that :meth:`restore` puts back."""
        return {"epoch": self.epoch, "value": self.value if self.epoch else None, "weights": self.weights}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that :meth:`state` has returned."""
        self.epoch = state["epoch"]
        self.value = state["value"] if self.epoch else float("inf")
        self.weights = {name: tensor.to(self.device, copy=True) for name, tensor in state["weights"].items()}
