"""The loss terms of an epoch, summed on the device: no step waits for the host."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.objective import Terms


class Totals:
    """Sums of the terms over images, and the first step at which each stopped being finite.

    Everything that changes is a tensor that stays where it is, so that adding can be part of a captured CUDA graph.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.names: list[str] = []
        self.images = torch.zeros((), dtype=wide(device), device=device)
        self.sums = torch.zeros(0, dtype=wide(device), device=device)  # (T,), terms times images
        self.first_bad = torch.zeros(0, dtype=torch.int64, device=device)  # (T,), the step, or -1

    def add(self, terms: Terms, images: int, step: Tensor | int = 0) -> None:
        """Count the terms of a batch, each a mean over ``images``."""
        if not self.names:
            self._name(list(terms))
        values = torch.stack([value.detach().float() for value in terms.values()])
        self.sums.add_(values * images)
        self.images.add_(images)
        broken = (self.first_bad < 0) & ~torch.isfinite(values)
        self.first_bad.copy_(torch.where(broken, step, self.first_bad))

    def _name(self, names: list[str]) -> None:
        self.names = names
        self.sums = self.sums.new_zeros(len(names))
        self.first_bad = self.first_bad.new_full((len(names),), -1)

    def clear(self) -> None:
        """Start again."""
        self.images.zero_()
        self.sums.zero_()
        self.first_bad.fill_(-1)

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` puts back."""
        return {"names": self.names, "images": self.images, "sums": self.sums, "first_bad": self.first_bad}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        if not state["names"]:
            return self.clear()
        if self.names != state["names"]:
            self._name(state["names"])
        self.images.copy_(state["images"])
        self.sums.copy_(state["sums"])
        self.first_bad.copy_(state["first_bad"])

    def means(self) -> dict[str, float]:
        """The mean of each term over the images so far; waits for the device."""
        return dict(zip(self.names, (self.sums / self.images).tolist(), strict=True))

    def divergence(self) -> tuple[int, str] | None:
        """The first step with a term that is not finite, and the term's name; waits for the device."""
        bad = zip(self.first_bad.tolist(), self.names, strict=True)
        # The loss is the sum of the others: name the culprit rather than the sum.
        return min(
            ((step, name) for step, name in bad if step >= 0), key=lambda b: (b[0], b[1] == "loss"), default=None
        )


def wide(device: torch.device) -> torch.dtype:
    """The widest float for sums: MPS has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64
