"""Sections whose settings depend on a registered name in them: narrowing, nesting, mistakes, pickling, JSON Schema."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest
from pydantic import Field

from tests.helpers import PLUGIN, SHIPPED_VARIANTS, python, tiny_fields, tiny_model, tiny_recipe, tiny_recipe_of
from zoo.errors import ZooError
from zoo.registered import WithConfig
from zoo.registry import DATASETS, DISTANCES, NETWORKS, OBJECTIVES, OPTIMIZERS, SCHEDULES, VARIANTS, Registry
from zoo.schema.axes import axes_of, narrowed, with_every_choice
from zoo.schema.base import NetworkConfig, OptimizerConfig, ScheduleConfig, Section, Size, VariantConfig
from zoo.schema.parsing import validate
from zoo.schema.recipe import Recipe, parse_recipe, recipe_schema
from zoo.schema.sections import Training

AXES = (VARIANTS, NETWORKS, OBJECTIVES, DISTANCES, DATASETS, OPTIMIZERS, SCHEDULES)
EVERY_NAME = [
    (axis, name) for axis in AXES for name, item in axis.items().items() if item.build.__module__[:4] == "zoo."
]
every_name = pytest.mark.parametrize(
    ("axis", "name"), EVERY_NAME, ids=[f"{axis.kind}-{name}" for axis, name in EVERY_NAME]
)


class Inner(Section):
    """A section with an axis."""

    network: Annotated[NetworkConfig, NETWORKS]


class Outer(Section):
    """A section with axes of its own and in its axes, one of them optional."""

    model: Annotated[VariantConfig, VARIANTS]
    schedule: Annotated[ScheduleConfig, SCHEDULES] = Field(default_factory=lambda: SCHEDULES.get("cosine").config())
    size: Size = 3


def parsed(fields: dict[str, Any], schema: type[Section] = Outer) -> Any:
    return validate(narrowed(schema, fields, "here"), fields, "here")


def mistakes(fields: dict[str, Any], schema: type[Section] = Outer) -> list[str]:
    with pytest.raises(ZooError) as caught:
        parsed(fields, schema)
    return str(caught.value).splitlines()


# --- narrowing --------------------------------------------------------------------------------------------------------


def test_the_axes_of_a_section_are_found() -> None:
    assert [(name, registry) for name, _, registry in axes_of(Outer)] == [("model", VARIANTS), ("schedule", SCHEDULES)]
    assert [registry for _, _, registry in axes_of(Recipe)] == [DATASETS, VARIANTS, OBJECTIVES, OPTIMIZERS]
    assert list(axes_of(ScheduleConfig)) == []


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_a_section_has_the_config_of_the_name_in_it(variant: str) -> None:
    found = parsed({"model": tiny_model(variant)})
    assert isinstance(found.model, VARIANTS.get(variant).config)
    assert isinstance(found, Outer)


@pytest.mark.parametrize("network", NETWORKS.names())
def test_an_axis_in_an_axis_is_narrowed_as_well(network: str) -> None:
    found = parsed({"model": {"variant": "vae", "network": {"name": network}}})
    assert isinstance(found.model, VARIANTS.get("vae").config)
    assert type(found.model.network) is NETWORKS.get(network).config


def test_the_same_names_give_the_same_class() -> None:
    one, two, other = (
        narrowed(Outer, {"model": {"variant": "vae", "network": {"name": network}}}, "here")
        for network in ("conv", "conv", "mlp")
    )
    assert one is two
    assert one is not other
    assert parsed({"model": {"variant": "ae"}}) == parsed({"model": {"variant": "ae"}})


def test_a_section_without_axes_stays_what_it_is() -> None:
    config = SCHEDULES.get("cosine").config
    assert narrowed(config, {"name": "cosine"}, "here") is config


def test_a_missing_optional_axis_has_its_default() -> None:
    found = parsed({"model": {"variant": "ae"}})
    assert type(found.schedule) is SCHEDULES.get("cosine").config
    assert found.schedule == SCHEDULES.get("cosine").config()
    assert found.size == 3
    assert type(parsed({"model": {"variant": "vae"}}).model.network) is NETWORKS.get("mlp").config


def test_an_optional_axis_that_is_there_is_narrowed() -> None:
    found = parsed({"model": {"variant": "ae"}, "schedule": {"name": "step", "every": 2}})
    assert type(found.schedule) is SCHEDULES.get("step").config


def test_defaults_of_a_recipe_are_written_out() -> None:
    fields = tiny_recipe(model={"variant": "vae"}).to_dict()
    assert fields["model"]["network"]["name"] == "mlp"
    assert fields["model"]["network"]["hidden"] == [400]
    assert fields["optimizer"]["schedule"] == {"name": "constant"}
    assert parse_recipe(fields) == tiny_recipe(model={"variant": "vae"})
    assert parse_recipe(fields).digest() == tiny_recipe(model={"variant": "vae"}).digest()


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "here: model: the section is missing"),
        ({"modle": {"variant": "ae"}}, "here: model: the section is missing (there is 'modle')"),
        ({"model": {}}, "here: model.variant: required, the name of the variant"),
        ({"model": 3}, "here: model.variant: required, the name of the variant"),
        ({"model": {"variant": None}}, "here: model.variant: required, the name of the variant"),
        ({"model": {"variant": ["ae"]}}, "here: model.variant: required, the name of the variant"),
        ({"model": {"variant": "vea"}}, "here: model.variant: unknown variant 'vea'; did you mean 'vae'?"),
        (
            {"model": {"variant": "vae", "network": {"name": "convv"}}},
            "here: model.network.name: unknown network 'convv'; did you mean 'conv'? (one of your own has to",
        ),
        (
            {"model": {"variant": "vae", "network": {"channels": [3]}}},
            "here: model.network.name: required, the name of the network",
        ),
        (
            {"model": {"variant": "vae", "network": {"name": "conv", "chanels": [3]}}},
            "here: model.network.chanels: unknown field; did you mean 'channels'?",
        ),
        (
            {"model": {"variant": "vae", "network": {"name": "mlp", "hidden": [3, "x"]}}},
            "here: model.network.hidden.1: input should be a valid integer (found 'x')",
        ),
        (
            {"model": {"variant": "ae"}, "schedule": {"name": "step"}},
            "here: schedule.every: field required",
        ),
        ({"model": {"variant": "ae"}, "schedule": "step"}, "here: schedule.name: required, the name of the schedule"),
    ],
    ids=str,
)
def test_a_mistake_is_named_with_its_place(fields: dict[str, Any], expected: str) -> None:
    (line,) = [line for line in mistakes(fields) if "modle: unknown" not in line]
    assert line.startswith(expected)


def test_a_name_of_ones_own_has_to_be_imported() -> None:
    (line,) = mistakes({"model": {"variant": "vae", "network": {"name": "of_my_own"}}})
    assert "--import FILE.py" in line


def test_several_names_are_listed_at_once() -> None:
    model = {"variant": "vae", "network": {"name": "convv"}}
    assert [line.partition(";")[0] for line in mistakes({"model": model, "schedule": {"name": "cosin"}})] == [
        "here: model.network.name: unknown network 'convv'",
        "here: schedule.name: unknown schedule 'cosin'",
    ]
    assert len(mistakes({"schedule": {}})) == 2


def test_several_settings_at_every_depth_are_listed_at_once() -> None:
    model = {"variant": "vae", "latent_dim": 0, "network": {"name": "conv", "channels": [0], "nek": 1}}
    found = mistakes({"model": model, "schedule": {"name": "step", "every": -1}, "sice": 4})
    places = {line.split(": ")[1] for line in found}
    assert places == {"model.latent_dim", "model.network.channels.0", "model.network.nek", "schedule.every", "sice"}


def test_mistakes_of_a_recipe_have_the_place_of_the_nested_section() -> None:
    fields = tiny_fields(
        model={"variant": "vae", "network": {"name": "mlp", "hiden": [3]}},
        optimizer={"name": "adam", "schedule": {"name": "cosine", "flor": 0.5}},
    )
    with pytest.raises(ZooError) as caught:
        parse_recipe(fields, "r.json")
    assert str(caught.value).splitlines() == [
        "r.json: model.network.hiden: unknown field; did you mean 'hidden'?",
        "r.json: optimizer.schedule.flor: unknown field; did you mean 'floor'?",
    ]


def test_a_section_is_never_mistaken_for_another_of_the_same_axis() -> None:
    fields = {"model": {"variant": "vae", "network": {"name": "conv", "dropout": 0.5}}}  # a field of conv_pool
    (line,) = mistakes(fields)
    assert line.startswith("here: model.network.dropout: unknown field")


# --- pickling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_recipes_can_be_pickled_and_copied(variant: str) -> None:
    recipe = tiny_recipe_of(variant, optimizer={"name": "sgd", "schedule": {"name": "step", "every": 2}})
    for found in (pickle.loads(pickle.dumps(recipe)), copy.deepcopy(recipe), copy.copy(recipe)):
        assert found == recipe
        assert type(found) is type(recipe)
        assert found.digest() == recipe.digest()


def test_a_recipe_that_is_made_of_configs_is_the_one_that_is_read_from_json() -> None:
    network = NETWORKS.get("conv").config(channels=(4,))
    recipe = Recipe(
        name="mine",
        data=DATASETS.get("mnist").config(),
        model=VARIANTS.get("vae").config(network=network, latent_dim=3),
        objective=OBJECTIVES.get("elbo").config(beta=4.0),
        optimizer=OPTIMIZERS.get("adam").config(schedule=SCHEDULES.get("step").config(every=2)),
        training=Training(epochs=1),
    )
    read = parse_recipe(recipe.to_dict())
    assert read.to_dict()["model"]["network"]["channels"] == [4]
    assert read == recipe and recipe == read and hash(read) == hash(recipe)
    assert read.digest() == recipe.digest()


def sections_of(section: Section) -> list[Section]:
    nested = [getattr(section, name) for name in type(section).model_fields]
    return [section, *(part for value in nested if isinstance(value, Section) for part in sections_of(value))]


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_every_section_of_a_recipe_can_be_pickled_by_itself(variant: str) -> None:
    found = sections_of(tiny_recipe_of(variant))
    assert len(found) > 8
    for section in found:
        again = pickle.loads(pickle.dumps(section))
        assert again == section
        assert type(again) is type(section)


def test_a_config_that_was_made_without_a_recipe_can_be_pickled() -> None:
    config = VARIANTS.get("vae").config()
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_pickled_recipe_is_read_in_another_process(tmp_path: Path) -> None:
    recipe = tiny_recipe(model={"variant": "vae", "network": {"name": "conv", "channels": [4]}})
    (tmp_path / "recipe.pickle").write_bytes(pickle.dumps(recipe))
    code = (
        "import pickle, sys; from pathlib import Path; from zoo.cli._common import import_files; "
        "import_files([sys.argv[1]]); recipe = pickle.loads(Path(sys.argv[2]).read_bytes()); "
        "print(type(recipe.model.network).__name__, recipe.digest())"
    )
    done = python("-c", code, PLUGIN, tmp_path / "recipe.pickle")
    assert done.stdout.split() == ["ConvConfig", recipe.digest()], done.stderr


# --- JSON Schema ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return recipe_schema()


def names_in(schema: dict[str, Any], section: dict[str, Any], tag: str) -> set[str]:
    """The names that a section may have, as an editor reads them off the schema."""
    choices = section.get("oneOf") or section.get("anyOf") or [section]
    definitions = [schema["$defs"][choice["$ref"].rpartition("/")[2]] for choice in choices]
    return {definition["properties"][tag]["const"] for definition in definitions}


def registered(axis: Registry[Any]) -> set[str]:
    return set(axis.names())


def test_the_schema_has_every_choice_of_every_axis(schema: dict[str, Any]) -> None:
    properties = schema["properties"]
    assert names_in(schema, properties["data"], "name") == registered(DATASETS)
    assert names_in(schema, properties["model"], "variant") == registered(VARIANTS)
    assert names_in(schema, properties["objective"], "name") == registered(OBJECTIVES)
    assert names_in(schema, properties["optimizer"], "name") == registered(OPTIMIZERS)


def test_the_schema_has_the_choices_of_nested_axes_with_their_defaults(schema: dict[str, Any]) -> None:
    (vae,) = (part for part in schema["$defs"].values() if part["properties"].get("variant", {}).get("const") == "vae")
    network = vae["properties"]["network"]
    assert names_in(schema, network, "name") == registered(NETWORKS)
    assert network["default"]["name"] == "mlp"
    assert "network" not in vae.get("required", [])
    for name in OPTIMIZERS.names():
        (part,) = (
            part for part in schema["$defs"].values()
            if part["properties"].get("name", {}).get("const") == name and "learning_rate" in part["properties"]
        )  # fmt: skip
        assert names_in(schema, part["properties"]["schedule"], "name") == registered(SCHEDULES)


@every_name
def test_every_field_in_the_schema_is_described(axis: Registry[WithConfig], name: str) -> None:
    for field, info in with_every_choice(axis.get(name).config).model_fields.items():
        if field != axis.tag:
            assert info.description, f"{field} of {name}"
            assert not info.description.startswith("Of ")
            assert not info.description[0].islower() or info.description.startswith(("p(", "q("))


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_what_is_a_recipe_fits_the_schema(variant: str, schema: dict[str, Any]) -> None:
    recipes = jsonschema.Draft202012Validator(schema)
    recipes.validate(tiny_recipe_of(variant).to_dict())
    recipes.validate(tiny_fields(model=tiny_model(variant)))


@pytest.mark.parametrize(
    "model",
    [
        {"variant": "vea"},
        {"variant": "vae", "network": {"name": "convv"}},
        {"variant": "vae", "network": {"name": "conv", "hiden": [3]}},
        {"variant": "linear_vae", "network": {"name": "conv"}},
    ],
    ids=str,
)
def test_what_is_no_recipe_does_not_fit_the_schema(model: dict[str, Any], schema: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(tiny_fields(model=model))
    with pytest.raises(ZooError):
        parse_recipe(tiny_fields(model=model))


def test_the_schema_is_json(schema: dict[str, Any]) -> None:
    assert json.loads(json.dumps(schema)) == schema
    jsonschema.Draft202012Validator.check_schema(schema)


def test_a_section_of_ones_own_may_have_axes() -> None:
    found = parsed({"network": {"name": "residual", "channels": 3}}, Inner)
    assert found.network.channels == 3
    definitions = with_every_choice(Inner).model_json_schema()
    assert names_in(definitions, definitions["properties"]["network"], "name") == registered(NETWORKS)
    assert isinstance(parse_recipe(tiny_fields()).optimizer, OptimizerConfig)
