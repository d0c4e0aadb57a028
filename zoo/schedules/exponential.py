"""A learning rate that falls by the same factor after every epoch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.registry import register_schedule
from zoo.schema.base import ScheduleConfig


@register_schedule
class ExponentialSchedule(ScheduleConfig):
    """The learning rate is multiplied by `gamma` after every epoch."""

    name: Literal["exponential"] = "exponential"
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(description="The factor of each epoch.")

    def factor(self, epoch: int, epochs: int) -> float:
        """Return gamma^epoch."""
        return self.gamma**epoch
