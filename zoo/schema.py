"""One recipe: everything that determines a trained model, as JSON.

A recipe is checked against the settings of the dataset, the variant and the objective that it names. Mistakes come back
as one :class:`~zoo.errors.ZooError` that lists every wrong field with its place and the close match.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError

from zoo.errors import UnknownNameError, ZooError, suggest
from zoo.registry import DATASETS, OBJECTIVES, VARIANTS, Registry
from zoo.sections import Claim, DatasetConfig, ObjectiveConfig, Optimizer, Section, Source, Training, VariantConfig

DataT = TypeVar("DataT", bound=DatasetConfig)
ModelT = TypeVar("ModelT", bound=VariantConfig)
ObjectiveT = TypeVar("ObjectiveT", bound=ObjectiveConfig)

AXES: dict[str, Registry[Any]] = {"data": DATASETS, "model": VARIANTS, "objective": OBJECTIVES}
"""The sections whose settings depend on a registered name."""


class RecipeOf(Section, Generic[DataT, ModelT, ObjectiveT]):
    """A recipe whose data, model and objective sections have these settings."""

    schema_uri: str = Field("", alias="$schema", description="Where editors find the JSON Schema.")
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="The entry: what `zoo.load` takes.")
    summary: str = Field("", description="One line for listings and the card.")
    data: DataT
    model: ModelT
    objective: ObjectiveT
    optimizer: Optimizer
    training: Training
    source: Source = Source()
    claims: tuple[Claim, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it, every default written out."""
        return self.model_dump(mode="json", by_alias=True, exclude={"schema_uri"})

    def digest(self) -> str:
        """sha256 over the sections that determine the weights; words and claims may change without changing it."""
        decisive = self.model_dump(mode="json", include={"data", "model", "objective", "optimizer", "training"})
        decisive["training"].pop("checkpoint_every")
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


Recipe = RecipeOf[DatasetConfig, VariantConfig, ObjectiveConfig]


def read_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read and check a recipe's file, after applying dotted ``overrides`` such as ``training.epochs=3``.

    Raises:
        ZooError: the file cannot be read, is no JSON (with line and column), or is no recipe (with every wrong field).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"cannot read the recipe {path}: {error}") from error
    return parse_recipe(override(parse_json(text, str(path)), overrides), str(path))


def parse_json(text: str, where: str) -> dict[str, Any]:
    """One JSON object, or a ZooError that says where (line, column) and why it is none."""

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ZooError(f"{where}: the field {twice!r} appears twice in one object; keep one")
        return fields

    try:
        value = json.loads(text, object_pairs_hook=without_duplicates)
    except json.JSONDecodeError as error:
        raise ZooError(f"{where}: line {error.lineno}, column {error.colno}: no valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise ZooError(f"{where}: no valid recipe: nested too deeply") from error
    if not isinstance(value, dict):
        raise ZooError(f"{where}: expected a JSON object {{...}}, found {type(value).__name__}")
    return value


def override(recipe: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Apply ``section.field=value`` assignments; a value is JSON, or else the text itself.

    Raises:
        ZooError: an assignment has no ``=`` or leads through something that is not a section.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not all(path.split(".")):
            raise ZooError(f"--set {assignment}: expected section.field=value, as in --set training.epochs=3")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        *sections, field = path.split(".")
        target = recipe
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise ZooError(f"--set {assignment}: {section!r} is a value, not a section")
        target[field] = value
    return recipe


def parse_recipe(fields: dict[str, Any], where: str = "recipe") -> Recipe:
    """Check a recipe's fields.

    Raises:
        ZooError: lists every wrong field with its place, and the close match of an unknown one.
    """
    configs: list[Any] = []
    for section, registry in AXES.items():
        name = fields[section].get(registry.tag) if isinstance(fields.get(section), dict) else None
        if not isinstance(name, str):
            raise ZooError(f"{where}: {section}.{registry.tag}: required, the name of a {registry.kind}")
        try:
            configs.append(registry.get(name).config)
        except UnknownNameError as error:
            raise ZooError(f"{where}: {section}.{registry.tag}: {error}") from error
    schema = _recipe_of(configs)
    try:
        recipe: Recipe = schema.model_validate_json(json.dumps(fields), strict=True)
    except ValidationError as error:
        raise ZooError("\n".join(f"{where}: {line}" for line in explain(error, schema))) from error
    return recipe


def _recipe_of(configs: list[Any]) -> Any:
    """The recipe's model with these settings for data, model and objective."""
    return RecipeOf.__class_getitem__(tuple(configs))


def explain(error: ValidationError, schema: type[BaseModel]) -> Iterator[str]:
    """One line per mistake: the field's place, what is wrong, and the close match of an unknown field."""
    for mistake in error.errors(include_url=False):
        place = ".".join(str(part) for part in mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            *parents, name = mistake["loc"]
            yield f"{place}: unknown field{suggest(str(name), _fields(schema, parents))}"
        else:
            found = f" (found {mistake['input']!r})" if isinstance(mistake["input"], int | float | str) else ""
            yield f"{place}: {mistake['msg'][:1].lower()}{mistake['msg'][1:]}{found}"


def _fields(schema: type[BaseModel], place: Iterable[str | int]) -> set[str]:
    """The names of the fields that could stand at ``place``; a union's tag leads to the member with that tag."""
    candidates = {schema}
    for part in place:
        tagged = {c for c in candidates if part in {f.default for f in c.model_fields.values()}}
        inner = (c.model_fields[str(part)].annotation for c in candidates if str(part) in c.model_fields)
        candidates = tagged or {model for annotation in inner for model in _models(annotation)}
    return {field.alias or name for c in candidates for name, field in c.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


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
