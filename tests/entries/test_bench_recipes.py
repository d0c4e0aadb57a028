"""The recipes of the common size: each builds and takes a step, and differs from its relatives in what it should."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import torch

from tests.helpers import CPU, slow_but_for
from zoo.entries.catalog import recipe_folder, recipe_paths, weights_folder
from zoo.models.build import build
from zoo.objectives import build_objective
from zoo.schema.extends import read_fields
from zoo.schema.recipe import Recipe, parse_recipe, read_recipe
from zoo.system.randomness import isolated_randomness
from zoo.training.dry_run import check_step, declared_images

EXTENDING = {name: path for name, path in recipe_paths().items() if "extends" in json.loads(path.read_text())}
FASHION = {
    name: path for name, path in EXTENDING.items()
    if not json.loads(path.read_text())["extends"].startswith("bench/")
}  # fmt: skip
WITHOUT_WEIGHTS = sorted(name for name in recipe_paths() if weights_folder(name) is None)
LARGE = {"conv_vae_2d_wide_mnist"}
"""Recipes whose models take seconds to build."""


def sections(recipe: Recipe) -> dict[str, Any]:
    return recipe.to_dict()


def kinds() -> list[Any]:
    """One recipe without weights of every model with its objective."""
    chosen: dict[str, str] = {}
    for name in WITHOUT_WEIGHTS:
        recipe = sections(read_recipe(recipe_paths()[name]))
        chosen.setdefault(json.dumps([recipe["data"], recipe["model"], recipe["objective"]]), name)
    return [slow_but_for(name not in LARGE, name) for name in sorted(chosen.values())]


def test_most_recipes_extend_one() -> None:
    assert len(EXTENDING) > 60
    assert len(FASHION) > 25
    assert {path.name for path in (recipe_folder() / "bench").glob("*.json")} == {
        "base.json",
        "grey.json",
        "point.json",
    }


@pytest.mark.parametrize("name", kinds())
def test_a_recipe_without_weights_builds_and_takes_a_step(name: str) -> None:
    recipe = read_recipe(recipe_paths()[name])
    check_step(recipe)
    with isolated_randomness(0, CPU):
        model = build(recipe)
        objective = build_objective(recipe, model, declared_images(recipe))
        x, labels = torch.rand(3, *model.image_shape), torch.arange(3)
        terms = objective(model.given(labels), x, torch.tensor(1.0))
        terms["loss"].backward()
    assert all(value.isfinite() for value in terms.values())
    trained = [parameter.grad for parameter in [*model.parameters(), *objective.parameters()]]
    assert all(gradient is None or gradient.isfinite().all() for gradient in trained)
    assert any(gradient is not None and gradient.any() for gradient in trained)


@pytest.mark.parametrize("name", sorted(FASHION))
def test_a_recipe_on_fashion_mnist_is_its_relative_on_other_data(name: str) -> None:
    own = json.loads(FASHION[name].read_text())
    relative = recipe_paths().get(name.replace("_fashion_mnist", "_mnist"))
    assert relative is not None
    assert relative == FASHION[name].parent / own["extends"]
    assert own.keys() <= {"$schema", "extends", "name", "summary", "data", "model", "source", "claims"}
    assert own.get("model", {}).keys() <= {"likelihood"}
    assert own.get("source", {}).keys() <= {"published", "notes"}
    mine, theirs = sections(read_recipe(FASHION[name])), sections(read_recipe(relative))
    assert mine["data"]["name"] == "fashion_mnist"
    for recipe in (mine, theirs):
        del recipe["name"], recipe["summary"], recipe["data"], recipe["model"]["likelihood"]
        del recipe["source"]["published"], recipe["source"]["notes"], recipe["claims"]
    assert mine == theirs


def test_a_figure_that_others_have_published_says_where_and_on_what() -> None:
    stated = [(name, figure) for name, path in EXTENDING.items() for figure in read_recipe(path).source.published]
    assert len(stated) >= 20
    for name, figure in stated:
        assert "MNIST" in figure.computed, name
        assert re.search(r"table \d|arXiv|\d{4}|code|transcribe", figure.computed), name
        assert ("Fashion-MNIST" in figure.computed) == name.endswith("fashion_mnist"), name
        assert (figure.metric is None) == (figure.value is None), name
        if figure.value is not None:
            assert figure.figure.lstrip("−").startswith(f"{figure.value:.2f}"), name


def test_a_mistake_of_another_implementation_names_it_and_its_state() -> None:
    for name in EXTENDING:
        for mistake in read_recipe(EXTENDING[name]).source.corrected:
            assert re.search(r"\([0-9a-f]{7}\)|\d+\.\d+\.\d+ \(PyPI\)|^The ", mistake), name


@pytest.mark.parametrize("name", sorted(EXTENDING))
def test_a_recipe_states_nothing_that_it_would_have_anyway(name: str) -> None:
    path = EXTENDING[name]
    own = json.loads(path.read_text())
    base = read_fields(path.parent / own["extends"])
    for section in ("data", "model", "objective", "optimizer", "training"):
        assert section not in own or own[section] != base.get(section), section


def test_a_recipe_of_the_bench_differs_from_the_base_in_its_variant_only() -> None:
    base = read_fields(recipe_folder() / "bench" / "base.json")
    for name, path in EXTENDING.items():
        recipe = read_recipe(path)
        whole = sections(parse_recipe({**base, "name": name}, name))
        found = sections(recipe)
        assert (found["optimizer"], found["training"]) == (whole["optimizer"], whole["training"]), name
        assert found["source"]["paper"], name
