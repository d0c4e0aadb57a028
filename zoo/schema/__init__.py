"""Recipes and records as strict pydantic models, and the base classes for the settings of new variants and datasets."""

from zoo.schema.base import (
    AugmentationConfig,
    Count,
    DatasetConfig,
    DistanceConfig,
    Epochs,
    ImageShape,
    LikelihoodConfig,
    NetworkConfig,
    NonNegative,
    ObjectiveConfig,
    OptimizerConfig,
    Positive,
    PosteriorConfig,
    PriorConfig,
    Probability,
    ScheduleConfig,
    Section,
    Size,
    Sizes,
    Split,
    VariantConfig,
)
from zoo.schema.recipe import Recipe, parse_recipe, read_recipe

__all__ = [
    "AugmentationConfig", "Count", "DatasetConfig", "DistanceConfig", "Epochs", "ImageShape", "LikelihoodConfig",
    "NetworkConfig", "NonNegative", "ObjectiveConfig", "OptimizerConfig", "Positive", "PosteriorConfig", "PriorConfig",
    "Probability", "Recipe", "ScheduleConfig", "Section", "Size", "Sizes", "Split", "VariantConfig", "parse_recipe",
    "read_recipe",
]  # fmt: skip
