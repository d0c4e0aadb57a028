"""One recipe: everything that determines a trained model, as JSON.

A recipe is checked against the settings of the dataset, the variant and the objective that it names. Mistakes come back
as one :class:`~zoo.errors.ZooError` that lists every wrong field with its place and the close match.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field

from zoo.errors import ZooError
from zoo.registry import DATASETS, OBJECTIVES, VARIANTS, Registry
from zoo.schema.base import NAME, DatasetConfig, ObjectiveConfig, Section, VariantConfig
from zoo.schema.digest import digest
from zoo.schema.parsing import override, parse_json, validate
from zoo.schema.sections import Claim, Execution, HubPin, Optimizer, Source, Training

DataT = TypeVar("DataT", bound=DatasetConfig)
ModelT = TypeVar("ModelT", bound=VariantConfig)
ObjectiveT = TypeVar("ObjectiveT", bound=ObjectiveConfig)

AXES: dict[str, Registry[Any]] = {"data": DATASETS, "model": VARIANTS, "objective": OBJECTIVES}
"""The sections whose settings depend on a registered name."""


class RecipeOf(Section, Generic[DataT, ModelT, ObjectiveT]):
    """A recipe whose data, model and objective sections have these settings."""

    schema_uri: str = Field("", alias="$schema", description="Where editors find the JSON Schema.")
    name: str = Field(pattern=NAME, description="The entry: what `zoo.load` takes.")
    summary: str = Field("", description="One line for listings and the card.")
    data: DataT
    model: ModelT
    objective: ObjectiveT
    optimizer: Optimizer
    training: Training
    execution: Execution = Execution()
    source: Source = Source()
    claims: tuple[Claim, ...] = ()
    hub: HubPin | None = Field(None, description="Where the weights are, if the package has no room for them.")

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it, every default written out."""
        return self.model_dump(mode="json", by_alias=True, exclude={"schema_uri", "hub"})

    def digest(self) -> str:
        """sha256 over the sections that determine the weights; words and claims may change without changing it."""
        return digest(self.to_dict())


Recipe = RecipeOf[DatasetConfig, VariantConfig, ObjectiveConfig]


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe's file, after applying dotted ``overrides`` such as ``training.epochs=3``.

    A recipe that is changed so makes none of the claims of its file.

    Raises:
        ZooError: the file cannot be read, is no JSON (with line and column), or is no recipe (with every wrong field).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"cannot read the recipe {path}: {error}") from error
    fields = parse_json(text, str(path))
    if any(not override.startswith("execution.") for override in overrides):
        fields.pop("claims", None)  # they are of the recipe as it stands
    return parse_recipe(override(fields, overrides), f"{path} with --set" if overrides else str(path))


def parse_recipe(fields: dict[str, Any], where: str = "recipe") -> Recipe:
    """Check a recipe's fields.

    Raises:
        ZooError: lists every wrong field with its place, and the close match of an unknown one.
    """
    if "weights_sha256" in fields:
        raise ZooError(f"{where}: this is the config.json of a run, not a recipe; the recipe is its field 'recipe'")
    configs = [registry.config_of(section, fields, where) for section, registry in AXES.items()]
    recipe: Recipe = validate(_recipe_of(configs), fields, where)
    return recipe


def parse_data(fields: dict[str, Any], where: str) -> DatasetConfig:
    """Check the fields of a data section by itself.

    Raises:
        ZooError: as :func:`parse_recipe`.
    """
    data: DatasetConfig = validate(DATASETS.config_of("data", {"data": fields}, where), fields, where)
    return data


def _recipe_of(configs: list[Any]) -> Any:
    """The recipe's model with these settings for data, model and objective."""
    return RecipeOf.__class_getitem__(tuple(configs))


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of every recipe that the registered datasets, variants and objectives allow."""
    unions = [
        Annotated[
            reduce(or_, (registry.get(name).config for name in registry.names())), Field(discriminator=registry.tag)
        ]
        for registry in AXES.values()
    ]
    schema = _recipe_of(unions).model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Autoencoder zoo recipe"}
