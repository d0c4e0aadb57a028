"""The loss terms of an epoch, summed on the device: no step waits for the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.objective import Terms


class Totals:
    """Sums of the terms over images, and the first step at which each stopped being finite."""

    names: Sequence[str] = ()
    sums: Tensor  # (T,), terms times images
    first_bad: Tensor  # (T,), the step, or -1

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.images = 0

    def add(self, terms: Terms, images: int, step: int = 0) -> None:
        """Count the terms of a batch, each a mean over ``images``."""
        values = torch.stack([value.detach().float() for value in terms.values()])
        if not self.names:
            self.names = list(terms)
            self.sums = torch.zeros(len(terms), dtype=wide(self.device), device=self.device)
            self.first_bad = torch.full((len(terms),), -1, device=self.device)
        self.sums += values * images
        self.images += images
        self.first_bad.masked_fill_((self.first_bad < 0) & ~torch.isfinite(values), step)

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` puts back."""
        if not self.names:
            return {}
        return {"names": list(self.names), "images": self.images, "sums": self.sums, "first_bad": self.first_bad}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        if state:
            self.names, self.images = state["names"], state["images"]
            self.sums, self.first_bad = state["sums"].to(self.device), state["first_bad"].to(self.device)

    def means(self) -> dict[str, float]:
        """The mean of each term over the images so far; waits for the device."""
        if not self.names:
            return {}
        return dict(zip(self.names, (self.sums / self.images).tolist(), strict=True))

    def divergence(self) -> tuple[int, str] | None:
        """The first step with a term that is not finite, and the term's name; waits for the device."""
        bad = zip(self.first_bad.tolist(), self.names, strict=True) if self.names else ()
        # The loss is the sum of the others: name the culprit rather than the sum.
        return min(
            ((step, name) for step, name in bad if step >= 0), key=lambda b: (b[0], b[1] == "loss"), default=None
        )


def wide(device: torch.device) -> torch.dtype:
    """The widest float for sums: MPS has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64
