"""The loss terms of an epoch, summed on the device, so that no step waits for the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.objectives import Terms
from zoo.system.devices import widest_float


@dataclass(frozen=True)
class ReadMeans:
    """The sums of terms and their number of finite batches, as numbers on the host."""

    names: list[str]
    sums: list[float]  # T + 1, the terms, then the images
    finite: list[int]  # T + 1, the terms, then all batches

    def means(self) -> dict[str, float]:
        """Return the mean of each term over the images."""
        *sums, images = self.sums
        return {name: value / images for name, value in zip(self.names, sums, strict=True)}

    def divergence(self) -> tuple[int, str] | None:
        """Return the 0-based batch at which the first term was no longer finite, and its name, or None."""
        *finite, batches = self.finite
        broken = [(batch, name) for batch, name in zip(finite, self.names, strict=False) if batch < batches]
        # The loss is the sum of the others: of the terms that broke at once, name another one.
        return min(broken, key=lambda term: (term[0], term[1] == "loss"), default=None)


class RunningMeans:
    """Sums up terms over images, and counts the batches for which each sum stayed finite.

    Everything that changes is a tensor that keeps its address, so that adding can be part of a captured CUDA graph.

    Args:
        device: the device of the sums.
        models: the number of models whose terms are summed at once, as a further dimension; none for one model.
    """

    def __init__(self, device: torch.device, *models: int) -> None:
        self.names: list[str] = []
        self.one = torch.ones(models, dtype=torch.float32, device=device)
        # (T + 1,), the terms, then the images; and the batches, where NaN in a sum stays.
        self.sums = torch.zeros(1, *models, dtype=widest_float(device), device=device)
        self.finite = torch.zeros(1, *models, dtype=torch.int64, device=device)

    def add(self, terms: Terms, images: int) -> None:
        """Add the terms of a batch, each a mean over ``images`` images."""
        if not self.names:
            self.name_terms(list(terms))
        values = torch.stack([*(value.detach().float() for value in terms.values()), self.one])
        self.sums.add_(values * images)
        self.finite.add_(torch.isfinite(self.sums))

    def name_terms(self, names: list[str]) -> None:
        """Make room for terms of these names."""
        self.names = names
        self.sums = self.sums.new_zeros(len(names) + 1, *self.one.shape)
        self.finite = self.finite.new_zeros(len(names) + 1, *self.one.shape)

    def clear(self) -> None:
        """Set all sums and counts to zero."""
        self.sums.zero_()
        self.finite.zero_()

    def state(self) -> dict[str, Any]:
        """Return the state that :meth:`restore` puts back; its tensors are the live ones."""
        return {"names": self.names, "sums": self.sums, "finite": self.finite}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that :meth:`state` has returned."""
        if not state["names"]:
            return self.clear()
        if self.names != state["names"]:
            self.name_terms(state["names"])
        self.sums.copy_(state["sums"])
        self.finite.copy_(state["finite"])

    def packed(self) -> Tensor:
        """Return everything as one tensor (2T + 2,) on the device, so that one wait reads it: see :meth:`unpacked`."""
        return torch.cat([self.sums, self.finite.to(self.sums.dtype)])

    def unpacked(self, numbers: list[float]) -> ReadMeans:
        """Return what :meth:`packed` has packed, from the tensor's numbers."""
        sums, finite = numbers[: len(self.sums)], numbers[len(self.sums) :]
        return ReadMeans(self.names, sums, [int(count) for count in finite])

    def read(self) -> ReadMeans:
        """Return everything as numbers; this waits for the device."""
        return self.unpacked(self.packed().tolist())
