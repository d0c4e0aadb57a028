"""Recipes and records as strict pydantic models; what a variant, a dataset or an objective of one's own starts from."""

from zoo.schema.base import (
    Count,
    DatasetConfig,
    ImageShape,
    NetworkConfig,
    NonNegative,
    ObjectiveConfig,
    OptimizerConfig,
    Positive,
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
    "Count", "DatasetConfig", "ImageShape", "NetworkConfig", "NonNegative", "ObjectiveConfig", "OptimizerConfig",
    "Positive", "Probability", "Recipe", "ScheduleConfig", "Section", "Size", "Sizes", "Split", "VariantConfig",
    "parse_recipe", "read_recipe",
]  # fmt: skip
