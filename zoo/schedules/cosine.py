"""A learning rate that falls along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from zoo.registry import register_schedule
from zoo.schema.base import ScheduleConfig


@register_schedule
class CosineSchedule(ScheduleConfig):
    """Half a cosine from the full learning rate to `floor` times it (Loshchilov & Hutter 2017, without restarts)."""

    name: Literal["cosine"] = "cosine"
    floor: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="The factor that the learning rate falls to.")

    def factor(self, epoch: int, epochs: int) -> float:
        """Return floor + (1 - floor) (1 + cos(pi epoch / epochs)) / 2."""
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * epoch / epochs)) / 2
