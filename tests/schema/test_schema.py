"""Recipes: strictness, the messages, overrides, the committed JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest

from tests.helpers import ROOT, SHIPPED_VARIANTS, tiny_fields, tiny_recipe, tiny_recipe_of
from zoo.entries.catalog import recipe_paths
from zoo.errors import ZooError
from zoo.registry import VARIANTS
from zoo.schema.base import ADDED_LATER, Section
from zoo.schema.parsing import override, parse_json
from zoo.schema.recipe import parse_recipe, read_recipe


def message(fields: dict[str, Any]) -> str:
    with pytest.raises(ZooError) as caught:
        parse_recipe(fields, "r.json")
    return str(caught.value)


def test_malformed_json_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('{\n  "name": "a",\n  "data": {,}\n}')
    with pytest.raises(ZooError, match=r"r\.json: line 3, column 12"):
        read_recipe(path)


@pytest.mark.parametrize("text", ["[]", "3", '"name"', "null"])
def test_json_that_is_no_object(text: str) -> None:
    with pytest.raises(ZooError, match="expected a JSON object"):
        parse_json(text, "r.json")


def test_nesting_without_end() -> None:
    with pytest.raises(ZooError):
        parse_json('{"a":' * 100_000, "r.json")


def test_a_number_without_end() -> None:
    with pytest.raises(ZooError, match="r.json"):
        parse_json('{"a": ' + "9" * 5000 + "}", "r.json")
    assert override({}, ["a=" + "9" * 5000])["a"] == "9" * 5000


def test_a_field_given_twice() -> None:
    with pytest.raises(ZooError, match="'name' appears twice"):
        parse_json('{"name": "a", "name": "b"}', "r.json")


def test_a_missing_file_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="cannot read the recipe"):
        read_recipe(tmp_path / "none.json")
    (tmp_path / "r.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ZooError, match="cannot read the recipe"):
        read_recipe(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (tiny_fields(trainig={}), "trainig: unknown field; did you mean 'training'"),
        (
            tiny_fields(optimizer={"name": "adam", "learning_rat": 1.0}),
            "optimizer.learning_rat: unknown field; did you mean 'learning_rate'",
        ),
        (
            tiny_fields(model={"variant": "linear_vae", "latent_dims": 3}),
            "model.latent_dims: unknown field; did you mean 'latent_dim'",
        ),
        (
            tiny_fields(optimizer={"name": "sgd", "schedule": {"name": "step", "every": 2, "gama": 0.5}}),
            "did you mean 'gamma'",
        ),
        (tiny_fields(model={"variant": "linear_vea"}), "model.variant: unknown variant 'linear_vea'; did you mean"),
        (
            tiny_fields(model={"variant": "vae", "network": {"name": "cnov"}}),
            "model.network.name: unknown network 'cnov'",
        ),
        (
            tiny_fields(model={"variant": "vae", "network": {"name": "mlp", "hiden": [3]}}),
            "model.network.hiden: unknown field; did you mean 'hidden'",
        ),
        (tiny_fields(model={"variant": "vae", "network": "mlp"}), "model.network.name: required"),
        (
            tiny_fields(model={"variant": "vae", "network": {"name": "mlp", "hidden": [0]}}),
            "model.network.hidden.0: input should be greater than 0",
        ),
        (tiny_fields(objective={"name": "elbow"}), "objective.name: unknown objective 'elbow'; did you mean 'elbo'"),
        (tiny_fields(data={"name": "mnits"}), "data.name: unknown dataset 'mnits'; did you mean"),
        (tiny_fields(optimizer={"name": "adem"}), "optimizer.name: unknown optimizer 'adem'; did you mean 'adam'"),
        (tiny_fields(epochs=3), "epochs: unknown field; did you mean 'training.epochs'?"),
        (tiny_fields(data={}), "data.name: required"),
        (
            {"dat" if k == "data" else k: v for k, v in tiny_fields().items()},
            "data: the section is missing (there is 'dat')",
        ),
        ({"weights_sha256": "", **tiny_fields()}, "this is the config.json of a run"),
        (tiny_fields(summary="\ud800"), "is not text"),
        (tiny_fields(model={"variant": "linear_vae", "likelihood": {"family": "gausian"}}), "did you mean 'gaussian'"),
        (tiny_fields(data="mnist"), "data.name: required"),
        (tiny_fields(name="../evil"), "name: string should match pattern"),
        (tiny_fields(model={"variant": "linear_vae", "latent_dim": -3}), "model.latent_dim: input should be greater"),
        (tiny_fields(model={"variant": "linear_vae", "hidden": [0]}), "model.hidden.0: input should be greater than 0"),
        (tiny_fields(model={"variant": "linear_vae", "latent_dim": 10**9}), "model.latent_dim: input should be less"),
        (tiny_fields(model={"variant": "linear_vae", "latent_dim": "20"}), "model.latent_dim: input should be a valid"),
        (tiny_fields(training={"epochs": 0}), "training.epochs: input should be greater than 0 (found 0)"),
        (tiny_fields(training={"epochs": 1.5}), "training.epochs"),
        (tiny_fields(training={"epochs": True}), "training.epochs"),
        (tiny_fields(training={}), "training.epochs: field required"),
        (tiny_fields(optimizer={"name": "adam", "learning_rate": float("inf")}), "learning_rate"),
        (tiny_fields(objective={"name": "elbo", "beta": float("nan")}), "objective.beta"),
        (tiny_fields(objective={"name": "elbo", "beta": -1}), "objective.beta"),
    ],
)
def test_mistakes_are_placed_and_explained(fields: dict[str, Any], expected: str) -> None:
    text = message(fields)
    assert text.startswith("r.json: ")
    assert expected in text


def test_a_changed_recipe_makes_no_claims(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(tiny_fields(claims=[{"metric": "mse", "value": 0.1, "tolerance": 0.01}])))
    assert len(read_recipe(path).claims) == 1
    assert read_recipe(path, ["training.epochs=1"]).claims == ()


def test_every_mistake_is_listed() -> None:
    text = message(tiny_fields(training={"epochs": -1, "batch": 3}, name="A b"))
    assert len(text.splitlines()) == 3


def test_overrides() -> None:
    fields = override(
        tiny_fields(), ["training.epochs=3", "optimizer.schedule.name=cosine", "model.hidden=[7,8]", "name=other"]
    )
    recipe = parse_recipe(fields)
    assert (recipe.training.epochs, recipe.name, recipe.model.hidden) == (3, "other", (7, 8))  # type: ignore[attr-defined]
    assert recipe.optimizer.schedule.name == "cosine"


def test_overrides_of_a_network() -> None:
    fields = tiny_fields(model={"variant": "vae", "network": {"name": "mlp", "hidden": [16]}})
    assert parse_recipe(override(fields, ["model.network.hidden=[7]"])).to_dict()["model"]["network"]["hidden"] == [7]
    other = parse_recipe(override(tiny_fields(model={"variant": "vae"}), ["model.network.name=conv"]))
    assert other.to_dict()["model"]["network"]["name"] == "conv"
    assert other.digest() != parse_recipe(fields).digest()


FOLDER = 'data={"name": "image_folder", "path": "x", "size": 16}'


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("data.path=2024", "2024"),
        ("data.path=1e1", "1e1"),
        ("data.path=true", "true"),
        ("data.path=None", "None"),
        ("data.path=[8,16]", "[8,16]"),
        ('data.path="x"', "x"),
        ("data.path=a b=c", "a b=c"),
        ("data.test_list=None", None),
        ("data.test_list=null", None),
        ("data.test_list=7", "7"),
        ("data.group=1", 1),
        ("data.group=case_*", "case_*"),
        ("data.only_classes=[8,16]", [8, 16]),
        ("training.epochs=1e1", 10),
        ("training.epochs=10.0", 10),
        ("training.seed=9007199254740993", 9007199254740993),
        ("training.batch_size=16", 16),
        ("execution.snapshot_epochs=None", None),
        ("execution.checkpoint_minutes=2", 2.0),
        ("optimizer.learning_rate=1e-4", 1e-4),
        ("execution.graph=on", "on"),
        ("model.network.decoder_hidden=None", None),
        ("model.network.hidden=[8,16]", [8, 16]),
        ('model={"variant": "linear_vae", "hidden": [7]}', None),
        ("summary=2024", "2024"),
    ],
)
def test_a_value_of_an_override_is_read_by_the_type_of_its_field(assignment: str, expected: object) -> None:
    fields = tiny_fields(model={"variant": "vae", "network": {"name": "mlp"}})
    value = parse_recipe(fields, "here", [FOLDER, assignment]).to_dict()
    for part in assignment.partition("=")[0].split("."):
        value = value[part]
    if assignment.startswith("model="):
        assert value["hidden"] == [7]
    else:
        assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("training.epochs=True", "training.epochs: input should be a valid integer (found True)"),
        ("training.epochs=1.5", "training.epochs: input should be a valid integer"),
        ("training.epochs=0.0", "training.epochs: input should be greater than 0 (found 0)"),
        ("training.epochs=many", "(found 'many')"),
        ("name=2024", "(found '2024')"),
        ("training.nothing=1e1", "training.nothing: unknown field"),
        ("training.epochs=1e400", "training.epochs: "),
        ("model.hidden=" + "[" * 200 + "]" * 200, "nested too deeply"),
    ],
)
def test_a_value_that_its_field_does_not_take_is_shown(assignment: str, words: str) -> None:
    with pytest.raises(ZooError) as error:
        parse_recipe(tiny_fields(), "here", [assignment])
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("assignment", "right"),
    [
        ("optimizer.learning_rate=.5", "optimizer.learning_rate=0.5"),
        ("optimizer.learning_rate=5e-3_", None),
        ("training.epochs=1_000", "training.epochs=1000"),
        ("training.epochs=+3", "training.epochs=3"),
        ("training.epochs=.5", None),
        ("training.epochs=inf", None),
        ("model.hidden=8,16", "'model.hidden=[8,16]'"),
        ("model.hidden=(8, 16)", "'model.hidden=[8,16]'"),
        ("model.hidden=8", "'model.hidden=[8]'"),
        ("model.hidden=8,x", None),
        ("optimizer.betas=.9,.99", "'optimizer.betas=[0.9,0.99]'"),
        ("data.only_classes=[1,02]", "'data.only_classes=[1,2]'"),
    ],
)
def test_the_right_spelling_of_a_value_is_shown(assignment: str, right: str | None) -> None:
    with pytest.raises(ZooError) as error:
        parse_recipe(tiny_fields(), "here", [assignment])
    assert ("write --set" in str(error.value)) == (right is not None), error.value
    if right:
        assert str(error.value) == f"--set {assignment}: write --set {right}"
        assert parse_recipe(tiny_fields(), "here", [right.strip("'")])


@pytest.mark.parametrize("assignment", ["training.epochs", "=3", "training..epochs=3", "name.first=3"])
def test_overrides_that_make_no_sense(assignment: str) -> None:
    with pytest.raises(ZooError, match="--set"):
        override(tiny_fields(), [assignment])


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_defaults_are_written_out_and_read_back(variant: str) -> None:
    recipe = tiny_recipe_of(variant)
    fields = recipe.to_dict()
    assert fields["optimizer"]["betas"] == [0.9, 0.999]
    config = VARIANTS.get(variant).config
    later = {name for name, info in config.model_fields.items() if ADDED_LATER in info.metadata}
    assert fields["model"].keys() == config.model_fields.keys() - later
    again = parse_recipe(json.loads(json.dumps(fields)))
    assert again == recipe
    assert again.digest() == recipe.digest()


def test_the_digest_follows_what_decides_the_weights_and_nothing_else() -> None:
    recipe = tiny_recipe()
    assert tiny_recipe(summary="other", source={"notes": "x"}).digest() == recipe.digest()
    assert tiny_recipe(execution={"compile": "on", "checkpoint_epochs": 9}).digest() == recipe.digest()
    assert tiny_recipe(training={"epochs": 2, "batch_size": 50, "seed": 1}).digest() != recipe.digest()
    assert tiny_recipe(objective={"name": "elbo", "beta": 2.0}).digest() != recipe.digest()


class Newer(Section):
    """A section with a field that sections before it did not have."""

    size: int = 1
    extra: Annotated[tuple[int, ...], ADDED_LATER] = ()


def test_a_field_that_was_added_later_is_written_only_where_it_is_used() -> None:
    assert Newer().model_dump() == {"size": 1}
    assert json.loads(Newer(extra=(2,)).model_dump_json()) == {"size": 1, "extra": [2]}
    assert "extra" in Newer.model_json_schema()["properties"]


RECIPES = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "recipe.schema.json").read_text()))


@pytest.mark.parametrize("name", sorted(recipe_paths()))
def test_the_committed_json_schema_accepts_every_recipe(name: str) -> None:
    RECIPES.validate(json.loads(recipe_paths()[name].read_text()))


@pytest.mark.parametrize(
    "section",
    [
        {"model": {"variant": "nope"}},
        {"model": {"latent_dim": 3}},
        {"model": {"variant": "vae", "network": {"name": "nope"}}},
        {"training": {"epochs": -1}},
        {"data": {"name": "mnist", "x": 1}},
    ],
)
def test_the_committed_json_schema_refuses_mistakes(section: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        RECIPES.validate(tiny_fields(data={"name": "mnist"}) | section)


def test_words_about_another_model_are_not_taken_over() -> None:
    path = recipe_paths()["conv_vae_mnist"]
    assert read_recipe(path, ["training.epochs=1"]).summary == read_recipe(path).summary
    changed = read_recipe(path, ["data.name=glyphs", "model.latent_dim=3"])
    assert changed.summary == "The recipe conv_vae_mnist with data.name, model.latent_dim changed"
    assert not changed.source.published
    assert read_recipe(path, ["data.name=glyphs", "summary=Mine"]).summary == "Mine"
