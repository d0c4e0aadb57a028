"""``config.json`` and ``metrics.jsonl`` of a run folder, as pydantic models: what is known of a trained model."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field

from zoo.errors import ZooError
from zoo.registry import VARIANTS
from zoo.schema.axes import narrowed
from zoo.schema.base import NAME, Section, Size, Split, VariantConfig
from zoo.schema.digest import digest
from zoo.schema.parsing import validate
from zoo.schema.recipe import Recipe, parse_recipe

T = TypeVar("T")
OfSplits = Annotated[dict[Split, T], Field(min_length=2)]
"""A value for each of the two splits."""

Figures = dict[str, float]
"""The values of metrics by name, in the units of :mod:`zoo.metrics`."""


class Strict(BaseModel):
    """No unknown fields, no NaN and no infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class DatasetRecord(Strict):
    """Which images a split held."""

    images: int
    sha256: str


class EvaluationRecord(Strict):
    """The hardware and versions that metrics of a card were measured with after training."""

    hardware: str
    versions: dict[str, str]


class Repetition(Strict):
    """Another run of the same recipe that differs in its seed only; its weights are not kept."""

    seed: int
    metrics: OfSplits[Figures]
    weights_sha256: str
    training_seconds: float
    hardware: str
    versions: dict[str, str]


class EpochRow(BaseModel):
    """What every line of ``metrics.jsonl`` has, among other things."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    epoch: Size
    train: dict[Annotated[str, Field(pattern=NAME)], float]
    test: dict[Annotated[str, Field(pattern=NAME)], float]


class RunConfig(Strict):
    """``config.json``: all there is to know about a trained model besides its weights."""

    format: Literal[1] = 1
    name: str = Field(pattern=NAME)
    recipe: dict[str, Any]
    recipe_sha256: str
    """Of the sections that determine the weights: :meth:`zoo.schema.recipe.RecipeOf.digest`."""
    image_shape: tuple[Size, Size, Size]
    parameters: int
    weights_sha256: str
    metrics: OfSplits[Figures]
    """Measured in eval mode after training."""
    dataset: OfSplits[DatasetRecord]
    training_seconds: float
    """Of the epochs, with the test images measured after each."""
    hardware: str
    versions: dict[str, str]
    evaluation: dict[str, EvaluationRecord] = {}
    """Family of metrics → where it was measured; of one that is not here, where the model was trained."""
    repetitions: Annotated[list[Repetition], FailFast()] = []
    glyphs: Figures = {}
    """Metrics on the first images of the embedded glyphs: whether a machine computes the same can be told without the
    data that the model was trained on. Other images than it has learned, so they say nothing about how good it is."""

    def to_json(self) -> str:
        """As the file holds it."""
        return self.model_dump_json(indent=2) + "\n"

    @property
    def checked_recipe(self) -> Recipe:
        """The recipe, checked against what is registered.

        Raises:
            ZooError: it is no recipe, or names a variant, objective or dataset that is not registered.
        """
        return _checked(json.dumps(self.recipe), f"the recipe of {self.name}")

    def model_section(self) -> VariantConfig:
        """The recipe's model section, checked: all of the recipe that the weights need.

        Raises:
            ZooError: it is not right, names a variant that is not registered, or is not what the weights were trained
                from.
        """
        where = f"the recipe of {self.name}"
        config: Any = narrowed(_OnlyModel, self.recipe, where).model_fields["model"].annotation
        model: VariantConfig = validate(config, self.recipe["model"], where)
        if digest(self.recipe) != self.recipe_sha256:
            raise ZooError(
                f"the recipe of {self.name} is not the one that its weights were trained from: its sha256 differs"
            )
        return model


class _OnlyModel(Section):
    model: Annotated[VariantConfig, VARIANTS]


@lru_cache(maxsize=256)
def _checked(recipe: str, where: str) -> Recipe:
    """Check a recipe once, however often its record is asked for it."""
    return parse_recipe(json.loads(recipe), where)
