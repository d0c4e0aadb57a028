"""Recipes: everything that determines a trained model, as JSON.

A recipe is checked against the settings of everything that it names: the dataset, the variant, the objective, the
optimizer. Mistakes are reported in one :class:`~zoo.errors.ZooError`, which lists every wrong field with its path and
the close match.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from zoo.errors import ZooError
from zoo.registry import DATASETS, OBJECTIVES, OPTIMIZERS, VARIANTS
from zoo.schema.axes import axes_of, narrowed, up_to_date, with_every_choice
from zoo.schema.base import NAME, DatasetConfig, ObjectiveConfig, OptimizerConfig, Section, VariantConfig
from zoo.schema.digest import digest
from zoo.schema.extends import read_fields
from zoo.schema.parsing import override, validate
from zoo.schema.sections import Claim, Execution, HubPin, Source, Training


class Recipe(Section):
    """Everything that determines a trained model, and where it comes from."""

    schema_uri: str = Field("", alias="$schema", description="The address at which editors find the JSON Schema.")
    name: str = Field(pattern=NAME, description="The name of the entry, which `zoo.load` takes.")
    summary: str = Field("", description="One line for listings and the card.")
    data: Annotated[DatasetConfig, DATASETS] = Field(description="Which images, and how they are presented.")
    model: Annotated[VariantConfig, VARIANTS] = Field(description="Which kind of autoencoder, in which sizes.")
    objective: Annotated[ObjectiveConfig, OBJECTIVES] = Field(description="What is minimised.")
    optimizer: Annotated[OptimizerConfig, OPTIMIZERS] = Field(description="The rule by which the weights are updated.")
    training: Training
    execution: Execution = Execution()
    source: Source = Source()
    claims: tuple[Claim, ...] = ()
    hub: HubPin | None = Field(
        None, description="The place of the weights on the Hub, if they are too large for the package."
    )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, with every default written out."""
        # As any: in a recipe made of configs, not of JSON, these have more fields than the annotated base classes.
        return self.model_dump(mode="json", by_alias=True, exclude={"schema_uri", "hub"}, serialize_as_any=True)

    def digest(self) -> str:
        """Return a sha256 over the sections that determine the weights; texts and claims are not part of it."""
        return digest(self.to_dict())


ANOTHER = ("data", "model")
"""The sections whose change makes another model than the one that a recipe's words are about."""


def changes_of_model(overrides: Sequence[str]) -> list[str]:
    """Return the fields among ``overrides`` whose change makes another model."""
    return [name for name in (override.partition("=")[0] for override in overrides) if name.startswith(ANOTHER)]


def read_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe's file, after applying dotted ``overrides`` such as ``training.epochs=3``.

    An override outside ``execution`` removes the claims of the file; one of its images or its model also replaces its
    summary, unless that is overridden, and removes what the source has published.

    Raises:
        ZooError: the file cannot be read, is not JSON (the message names line and column), or is not a recipe (the
            message names every wrong field).
    """
    path = Path(path).expanduser() if os.fspath(path).startswith("~/") else Path(path)
    fields = read_fields(path)
    if any(not override.startswith("execution.") for override in overrides):
        fields.pop("claims", None)  # they hold for the unchanged recipe only
    changed = changes_of_model(overrides)
    if changed:  # the file's words are about another model
        fields["summary"] = f"The recipe {fields.get('name')} with {', '.join(changed)} changed"
        if isinstance(fields.get("source"), dict):
            fields["source"].pop("published", None)
    return parse_recipe(fields, f"{path} with --set" if overrides else str(path), overrides)


def parse_recipe(fields: dict[str, Any], where: str = "recipe", overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe with these fields, checked.

    Args:
        fields: the fields as JSON.
        where: the source of the fields, for messages.
        overrides: fields to set, such as ``training.epochs=3``; values are read by the types of the fields.

    Raises:
        ZooError: a field is wrong; the message lists every wrong field with its path and the close match.
    """
    if "weights_sha256" in fields:
        raise ZooError(f"{where}: this is the config.json of a run, not a recipe; the recipe is its field 'recipe'")
    changed = up_to_date(Recipe, override(deepcopy(fields), overrides) if overrides else fields)
    schema = narrowed(Recipe, changed, where)
    if overrides:
        changed = up_to_date(Recipe, override(deepcopy(fields), overrides, schema))
    recipe: Recipe = validate(schema, changed, where)
    return recipe


def parse_data(fields: dict[str, Any], where: str) -> DatasetConfig:
    """Return the data section with these fields, checked.

    Raises:
        ZooError: as :func:`parse_recipe`.
    """
    config: Any = narrowed(_OnlyData, {"data": fields}, where).model_fields["data"].annotation
    data: DatasetConfig = validate(config, fields, where)
    return data


class _OnlyData(Section):
    data: Annotated[DatasetConfig, DATASETS]


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema of every recipe that the registered names allow."""
    schema = with_every_choice(Recipe).model_json_schema(by_alias=True)
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "A recipe's file, relative to this one, whose fields hold where this one states no others.",
    }
    required = [name for name in schema.pop("required") if name != "name"]
    whole: dict[str, Any] = {"required": required, "properties": {}}
    for name, _, registry in axes_of(Recipe):  # a section by difference need not name the choice that it keeps
        section = schema["properties"][name]
        section["anyOf"] = section.pop("oneOf")
        whole["properties"][name] = {"required": [registry.tag]}
    schema |= {"required": ["name"], "anyOf": [whole, {"required": ["extends"]}]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Autoencoder zoo recipe"}
