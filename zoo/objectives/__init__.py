"""One file per objective, named like it: what is minimised, as named terms in nats per image."""

from zoo.objectives._base import DistanceConfig, Objective, Terms, build_objective

__all__ = ["DistanceConfig", "Objective", "Terms", "build_objective"]
