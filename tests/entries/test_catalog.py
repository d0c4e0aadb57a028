"""Listing and finding entries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import zoo
from zoo.entries.catalog import natural, recipe_folder, recipe_paths
from zoo.errors import UnknownNameError, ZooError

FOUR = ["ae_mnist", "bn_vae_mnist", "conv_vae_mnist", "linear_vae_mnist"]


def test_wildcards_and_natural_order() -> None:
    assert zoo.list_models("*2d_mnist") == ["conv_vae_2d_mnist", "vae_2d_mnist"]
    assert zoo.list_models("conv_vae_2*") == ["conv_vae_2d_mnist", "conv_vae_2d_wide_mnist", "conv_vae_200_mnist"]
    assert [name for name in zoo.list_models("*_mnist") if name in FOUR] == FOUR
    assert sorted(["vae_10d", "vae_2d", "ae", "vae_2d_b"], key=natural) == ["ae", "vae_2d", "vae_2d_b", "vae_10d"]
    assert zoo.list_models("nothing*") == []


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
