"""One file per objective, named like it: a loss and its named terms."""

from zoo.objectives._base import (
    DistanceObjective,
    DistanceObjectiveConfig,
    Objective,
    Terms,
    build_objective,
    unit_of,
)

__all__ = ["DistanceObjective", "DistanceObjectiveConfig", "Objective", "Terms", "build_objective", "unit_of"]
