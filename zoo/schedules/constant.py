"""A learning rate that stays as it is."""

from __future__ import annotations

from typing import Literal

from zoo.registry import register_schedule
from zoo.schema.base import ScheduleConfig


@register_schedule
class ConstantSchedule(ScheduleConfig):
    """The learning rate stays as it is."""

    name: Literal["constant"] = "constant"

    def factor(self, epoch: int, epochs: int) -> float:
        """Return 1."""
        return 1.0
