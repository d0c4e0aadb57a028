"""A learning rate that falls in equal steps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.registry import register_schedule
from zoo.schema.base import Epochs, ScheduleConfig


@register_schedule
class StepSchedule(ScheduleConfig):
    """The learning rate is multiplied by `gamma` after every `every` epochs."""

    name: Literal["step"] = "step"
    every: Epochs = Field(description="Epochs between two steps.")
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(0.1, description="The factor of each step.")

    def factor(self, epoch: int, epochs: int) -> float:
        """Return gamma^floor(epoch / every)."""
        return self.gamma ** (epoch // self.every)
