"""Listing and finding entries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import zoo
from tests.helpers import command
from zoo.entries.catalog import natural, recipe_folder, recipe_paths, record_folder
from zoo.errors import UnknownNameError, ZooError

FOUR = ["ae_mnist", "bn_vae_mnist", "conv_vae_mnist", "linear_vae_mnist"]


def test_wildcards_and_natural_order() -> None:
    assert zoo.list_models("*2d_mnist") == ["conv_vae_2d_mnist", "vae_2d_mnist"]
    assert zoo.list_models("conv_vae_2*") == ["conv_vae_2d_mnist", "conv_vae_2d_wide_mnist", "conv_vae_200_mnist"]
    assert [name for name in zoo.list_models("*_mnist") if name in FOUR] == FOUR
    assert sorted(["vae_10d", "vae_2d", "ae", "vae_2d_b"], key=natural) == ["ae", "vae_2d", "vae_2d_b", "vae_10d"]
    assert zoo.list_models("nothing*") == []


def test_filters_by_what_the_checked_recipes_say() -> None:
    recipes = {name: zoo.recipe(name) for name in zoo.list_models()}
    for data in sorted({recipe.data.name for recipe in recipes.values()}):
        assert zoo.list_models(data=data) == [name for name in recipes if recipes[name].data.name == data]
    for variant in sorted({recipe.model.variant for recipe in recipes.values()}):
        assert zoo.list_models(variant=variant) == [name for name in recipes if recipes[name].model.variant == variant]
    assert zoo.list_models(task="labels") == [name for name in recipes if recipes[name].model.classes]
    assert zoo.list_models("denoising_*", task="denoising") == zoo.list_models("denoising_*") != []
    assert zoo.list_models("*ae_mnist", task="likelihood", variant="conv_vae", weights=True) == ["conv_vae_mnist"]
    assert zoo.list_models("linear_*", task="likelihood") == ["linear_vae_mnist"]
    assert zoo.list_models(task="denoising", variant="vq_vae") == []


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"variant": "conv_vea"}, "unknown variant 'conv_vea'; did you mean 'conv_vae'"),
        ({"data": "mnits"}, "unknown dataset 'mnits'; did you mean 'mnist'"),
        ({"task": "label"}, "unknown task 'label'; did you mean 'labels'"),
    ],
    ids=str,
)
def test_a_filter_that_nothing_has_shows_the_close_match(filters: dict[str, str], words: str) -> None:
    with pytest.raises(UnknownNameError, match=words):
        zoo.list_models(**filters)  # type: ignore[arg-type]


def test_the_command_lists_what_is_asked_for() -> None:
    done = command("list", "--variant", "conv_vae", "--task", "likelihood", "--data", "mnist", "--json")
    found = {row["entry"] for row in json.loads(done.stdout)}
    trained = [name for name in zoo.list_models(variant="conv_vae", data="mnist") if record_folder(name)]
    assert found == set(trained) != set()
    none = command("list", "--variant", "vae", "--data", "svhn")
    assert (none.returncode, none.stderr) == (
        2,
        "error: no trained entry has the variant vae and the data svhn; drop one of the options\n",
    )


def test_only_entries_with_weights() -> None:
    assert set(zoo.list_models(weights=True)) <= set(zoo.list_models())
    assert "quickstart" not in zoo.list_models(weights=True)


@pytest.mark.parametrize("name", sorted(recipe_paths()))
def test_every_recipe_is_valid_and_names_its_schema(name: str) -> None:
    recipe = zoo.recipe(name)
    assert recipe.name == name
    assert recipe.summary
    assert json.loads(recipe_paths()[name].read_text())["$schema"] == "../docs/recipe.schema.json"


def test_names_are_unique() -> None:
    assert len(recipe_paths()) == len(list(recipe_folder().glob("*.json")))


def test_a_broken_recipe_and_a_second_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.entries.catalog.recipe_folder", lambda: tmp_path)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text('{"name": "same"}')
    recipe_paths.cache_clear()
    with pytest.raises(ZooError, match="are both named 'same'"):
        zoo.list_models()
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(ZooError, match=r"b\.json is not a recipe \(.*line 1 column 2"):
        zoo.list_models()
    monkeypatch.undo()
    recipe_paths.cache_clear()


def test_a_file_name_leads_to_its_entry() -> None:
    with pytest.raises(UnknownNameError, match="unknown entry 'vae_linear'; known: linear_vae_mnist"):
        zoo.recipe("vae_linear")


def test_an_unknown_entry_shows_the_close_match() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'conv_vae_mnist'"):
        zoo.recipe("conv_vae_mnits")


def test_unknown_attributes_of_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        zoo.lod  # noqa: B018
    assert {"load", "list_models", "register_variant"} <= set(dir(zoo))


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_a_file_of_weights_is_no_run_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(ZooError, match="is a file; zoo.load takes a run folder, .*zoo.create_model"):
        zoo.load(str(tmp_path / name))
