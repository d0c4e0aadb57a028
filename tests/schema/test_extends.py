"""Recipes by difference: what is taken over, what is not, and what is refused in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.helpers import CPU, ROOT, command, tiny_fields
from zoo.errors import ZooError
from zoo.extends import merged
from zoo.schema.extends import read_fields
from zoo.schema.recipe import read_recipe
from zoo.training import train

SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "recipe.schema.json").read_text()))


def write(path: Path, **fields: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(fields))
    return path


@pytest.mark.parametrize(
    ("base", "changes", "expected"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
        ({"s": {"name": "x", "a": 1}}, {"s": {"b": 2}}, {"s": {"name": "x", "a": 1, "b": 2}}),
        ({"s": {"name": "x", "a": 1}}, {"s": {"name": "x", "b": 2}}, {"s": {"name": "x", "a": 1, "b": 2}}),
        ({"s": {"name": "x", "a": 1}}, {"s": {"name": "y"}}, {"s": {"name": "y"}}),
        ({"s": {"variant": "x", "a": 1}}, {"s": {"variant": "y"}}, {"s": {"variant": "y"}}),
        ({"s": {"a": 1}}, {"s": {"name": "y"}}, {"s": {"name": "y"}}),  # it had the default's name
        ({"m": {"l": {"family": "x", "a": 1}, "d": 2}}, {"m": {"l": {"family": "y"}}},
         {"m": {"l": {"family": "y"}, "d": 2}}),
        ({"s": {"name": "x"}}, {"s": "word"}, {"s": "word"}),
        ({"s": "word"}, {"s": {"name": "x"}}, {"s": {"name": "x"}}),
        ({"s": [1, 2]}, {"s": [3]}, {"s": [3]}),  # a list is a value
        ({"s": {"a": 1}}, {"s": None}, {"s": None}),
    ],
)  # fmt: skip
def test_sections_are_merged_unless_they_name_another_choice(base: Any, changes: Any, expected: Any) -> None:
    before = json.dumps(base)
    assert merged(base, changes) == expected
    assert json.dumps(base) == before


def test_what_a_file_says_about_itself_is_not_taken_over(tmp_path: Path) -> None:
    base = tiny_fields(
        claims=[{"metric": "mse"}], hub={"repository": "a/b"},
        source={"paper": "The paper", "published": {"mse": 1.0}, "license": "apache-2.0"},
    ) | {"$schema": "x"}  # fmt: skip
    write(tmp_path / "base.json", **base)
    found = read_fields(write(tmp_path / "mine.json", extends="base.json", name="mine"))
    assert found.keys() == base.keys() - {"$schema", "summary", "claims", "hub"}
    assert found["name"] == "mine"
    assert found["source"] == {"paper": "The paper", "license": "apache-2.0"}
    own = {"source": {"published": {"mse": 2.0}}, "claims": [], "summary": "Mine"}
    found = read_fields(write(tmp_path / "mine.json", extends="base.json", name="mine", **own))
    assert (found["claims"], found["summary"]) == ([], "Mine")
    assert found["source"]["published"] == {"mse": 2.0}


def test_a_chain_is_followed_relative_to_each_file(tmp_path: Path) -> None:
    write(tmp_path / "bench" / "base.json", **tiny_fields())
    write(tmp_path / "bench" / "wide.json", extends="base.json", model={"hidden": [64]}, training={"epochs": 5})
    last = write(tmp_path / "last.json", extends="bench/wide.json", name="last", training={"epochs": 7})
    recipe = read_recipe(last)
    model: Any = recipe.model
    assert (model.hidden, model.latent_dim, recipe.training.epochs) == ((64,), 4, 7)
    assert recipe.training.batch_size == 50
    whole = tiny_fields(name="last", training={"epochs": 7, "batch_size": 50})
    whole["model"]["hidden"] = [64]
    assert recipe.digest() == read_recipe(write(tmp_path / "whole.json", **whole)).digest()
    mistaken = write(tmp_path / "last.json", extends="bench/wide.json", name="last", model={"latent_dmi": 3})
    with pytest.raises(ZooError, match="latent_dmi.*did you mean 'latent_dim'"):
        read_recipe(mistaken)


@pytest.mark.parametrize(
    ("extends", "words"),
    [
        ("a.json", "cannot extend itself"),
        ("b.json", "cannot extend itself"),  # which extends a.json
        ("sub/../a.json", "cannot extend itself"),
        ("missing.json", "missing.json"),
        ("broken.json", "broken.json: line 1"),
        ("/base.json", "must be relative"),
        ("C:\\base.json", "must be relative"),
        ("https://example.org/base.json", "must be relative"),
        ("", "give the path of a recipe"),
        (3, "give the path of a recipe"),
        (["b.json"], "give the path of a recipe"),
        (None, "give the path of a recipe"),
    ],
)
def test_what_cannot_be_extended_is_said_in_a_line(extends: Any, words: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "b.json", extends="a.json")
    (tmp_path / "broken.json").write_text("{")
    path = write(tmp_path / "a.json", **tiny_fields(), extends=extends)
    with pytest.raises(ZooError) as error:
        read_fields(path)
    message = str(error.value)
    assert words in message
    assert extends == "broken.json" or "a.json" in message
    assert len(message.splitlines()) == 1


def test_it_is_written_out_whole_and_takes_changes(tmp_path: Path) -> None:
    write(tmp_path / "base.json", **tiny_fields())
    path = write(tmp_path / "mine.json", extends="base.json", name="mine", training={"epochs": 1})
    done = command("train", path, "--set", "model.latent_dim=3", "--print-recipe")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert "extends" not in printed
    assert printed["model"]["latent_dim"] == 3
    assert printed["model"]["hidden"] == [32]
    assert printed["training"]["batch_size"] == 50
    out = train(read_recipe(path), tmp_path / "run", CPU)
    config = json.loads((out / "config.json").read_text())
    assert "extends" not in config["recipe"]
    assert config["recipe"] == read_recipe(path).to_dict()
    done = command("train", write(tmp_path / "wrong.json", extends="nowhere.json", name="wrong"), "--print-recipe")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_the_json_schema_asks_for_a_name_and_for_all_sections_unless_a_file_is_extended() -> None:
    SCHEMA.validate({"name": "mine", "extends": "bench/base.json"})
    SCHEMA.validate({"name": "mine", "extends": "base.json", "objective": {"name": "iwae", "k": 3}})
    for wrong in (
        {"extends": "base.json"},
        {"name": "mine"},
        {"name": "mine", "extends": 3},
        {"name": "mine", "extends": "base.json", "objective": {"name": "nope"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            SCHEMA.validate(wrong)
