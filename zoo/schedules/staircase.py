"""Ever longer stages at ever smaller learning rates (Burda et al. 2016, arXiv:1509.00519, section 5)."""

from __future__ import annotations

from bisect import bisect_right
from typing import Annotated, Literal

from pydantic import Field

from zoo.registry import register_schedule
from zoo.schema.base import ScheduleConfig


@register_schedule
class StaircaseSchedule(ScheduleConfig):
    """Ever longer stages at ever smaller learning rates, all of the epochs (Burda et al. 2016, section 5)."""

    name: Literal["staircase"] = "staircase"
    stages: Annotated[int, Field(ge=2, le=64)] = Field(8, description="The number of stages.")
    growth: Annotated[float, Field(ge=1, le=100)] = Field(
        3.0, description="The length of each stage divided by that of the stage before it."
    )
    floor: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="The factor that the learning rate falls to, evenly in its logarithm."
    )

    def factor(self, epoch: int, epochs: int) -> float:
        """Return floor^(i / (stages - 1)) in stage i; in 3280 epochs the stages are the paper's: 1, 3, 9, …, 2187."""
        lengths = [self.growth**i for i in range(self.stages)]
        ends = [epochs * sum(lengths[: i + 1]) / sum(lengths) for i in range(self.stages - 1)]
        return float(self.floor ** (bisect_right(ends, epoch) / (self.stages - 1)))
