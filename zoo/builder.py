"""From a recipe to an untrained model and its objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.autoencoder import Autoencoder
from zoo.errors import ZooError, first_line
from zoo.registry import OBJECTIVES, VARIANTS
from zoo.schema.base import ImageShape, VariantConfig

if TYPE_CHECKING:
    from zoo.objective import Objective
    from zoo.schema.recipe import Recipe


def build(recipe: Recipe) -> Autoencoder:
    """The recipe's model with fresh weights, drawn from torch's default generator; needs no data.

    Raises:
        ZooError: the variant cannot take the dataset's image shape, or is too large.
    """
    return build_variant(recipe.model, recipe.data.image_shape)


def build_variant(config: VariantConfig, shape: ImageShape) -> Autoencoder:
    """As :func:`build`, from the model section and the image shape alone."""
    try:
        model: Autoencoder = VARIANTS.get(config.variant).build(config, shape)
    except (RuntimeError, MemoryError, OverflowError) as error:  # torch's words for sizes beyond memory
        raise ZooError(
            f"cannot build a {config.variant} of these sizes ({first_line(error)}); make it smaller"
        ) from error
    return model


def build_objective(recipe: Recipe) -> Objective:
    """What the recipe minimises."""
    objective: Objective = OBJECTIVES.get(recipe.objective.name).build(recipe.objective)
    return objective
