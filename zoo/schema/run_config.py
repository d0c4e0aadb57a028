"""``config.json`` and ``metrics.jsonl`` of a run folder, as pydantic models: what is known of a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field

from zoo.errors import ZooError
from zoo.registry import VARIANTS
from zoo.schema.base import NAME, Size
from zoo.schema.digest import digest
from zoo.schema.parsing import validate

if TYPE_CHECKING:
    from zoo.schema.base import VariantConfig
    from zoo.schema.recipe import Recipe

T = TypeVar("T")
OfSplits = Annotated[dict[Literal["train", "test"], T], Field(min_length=2)]
"""Something for both splits."""

Figures = dict[str, float]
"""Metric → value, in the units of :mod:`zoo.metrics`."""


class Strict(BaseModel):
    """No unknown fields, no NaN and no infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class DatasetRecord(Strict):
    """Which images a split held."""

    images: int
    sha256: str


class Evaluation(Strict):
    """Where and with what metrics of a card were measured after training."""

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
    evaluation: dict[str, Evaluation] = {}
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
        from zoo.schema.recipe import parse_recipe  # here, because loading a model needs only its own section

        return parse_recipe(self.recipe, f"the recipe of {self.name}")

    def model_section(self) -> VariantConfig:
        """The recipe's model section, checked: all of the recipe that the weights need.

        Raises:
            ZooError: it is not right, names a variant that is not registered, or is not what the weights were trained
                from.
        """
        where = f"the recipe of {self.name}"
        model: VariantConfig = validate(VARIANTS.config_of("model", self.recipe, where), self.recipe["model"], where)
        if digest(self.recipe) != self.recipe_sha256:
            raise ZooError(
                f"the recipe of {self.name} is not the one that its weights were trained from: its sha256 differs"
            )
        return model
