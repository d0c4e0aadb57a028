"""The command lines: every mistake is one message and exit code 2, never a traceback."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo
from tests.helpers import PLUGIN, ROOT, command, process, tiny_fields
from zoo.cli._common import find_recipe


def test_training_from_a_file_with_overrides(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    done = command(
        *("train", recipe_file(), "--import", PLUGIN, "--out", tmp_path / "run", "--device", "cpu"),
        *("--set", "training.epochs=1", "--set", "optimizer.name=rmsprop"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("on cpu with 1 thread, step by step\nepoch 1/1  train loss ")
    assert "images/s" in done.stdout
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1
    recipe = json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]
    assert (recipe["training"]["epochs"], recipe["optimizer"]["name"]) == (1, "rmsprop")


def test_a_variant_of_ones_own_from_one_file(tmp_path: Path) -> None:
    # The file that docs/your_own_variant.md shows.
    shown = (ROOT / "docs" / "your_own_variant.md").read_text()
    code = shown.split("```python\n", 1)[1].split("```", 1)[0]
    recipe = shown.split("```json\n", 1)[1].split("```", 1)[0]
    (tmp_path / "my_variant.py").write_text(code)
    fields = json.loads(recipe) | {"data": {"name": "tiny"}, "training": {"epochs": 1}}
    (tmp_path / "mine.json").write_text(json.dumps(fields))
    imports = ("--import", "my_variant.py", "--import", PLUGIN)
    done = process("train", "mine.json", *imports, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    compared = process("compare", f"./runs/{run.name}", *imports, cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    unknown = command("compare", f"./runs/{run.name}", "--import", PLUGIN, cwd=tmp_path)
    assert unknown.returncode == 2
    assert "unknown variant" in unknown.stderr


def test_printing_a_recipe_by_name_and_by_path() -> None:
    by_name = command("train", "conv_vae_mnist", "--print-recipe", "--set", "training.epochs=7")
    assert json.loads(by_name.stdout)["training"]["epochs"] == 7
    by_path = command("train", "recipes/vae_conv.json", "--print-recipe")
    assert json.loads(by_path.stdout)["training"]["epochs"] == 100


def test_a_dry_run_tells_sizes_steps_and_memory_and_trains_nothing(tmp_path: Path) -> None:
    done = command("train", "bn_vae_mnist", "--dry-run", "--import", PLUGIN, "--set", "data.name=tiny", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1,133,833 parameters" in done.stdout
    assert "(B, 32, 14, 14)" in done.stdout
    assert "230 training images, 5 steps an epoch, 500 steps in 100 epochs" in done.stdout
    assert "MiB of memory" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_needs_no_data(tmp_path: Path) -> None:
    done = command("train", "conv_vae_mnist", "--dry-run", ZOO_DATA=str(tmp_path), https_proxy="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "60,000 training images, 469 steps an epoch, 46,900 steps in 100 epochs" in done.stdout


FOLDER_OF_30_PIXELS = 'data={"name": "image_folder", "path": "x", "size": 30}'


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["conv_vae_mnits"], "unknown entry 'conv_vae_mnits'; did you mean 'conv_vae_mnist'"),
        (["nowhere/recipe.json"], "there is no recipe nowhere/recipe.json"),
        (["elsewhere/vae_linear.json"], "did you mean the entry 'linear_vae_mnist'?"),
        (["recipes/vae_linaer.json"], "did you mean 'recipes/vae_linear.json'"),
        (["recipes/nope.json"], "there is no recipe recipes/nope.json; there are 'recipes/ae.json', "),
        (["conv_vae_mnist", "--set", "training.epoch=3"], "training.epoch: unknown field; did you mean 'epochs'"),
        (["conv_vae_mnist", "--set", "model.latent_dim=-1"], "model.latent_dim"),
        (["conv_vae_mnist", "--set", "training.epochs"], "expected section.field=value"),
        (["conv_vae_mnist", "--device", "cuda:77"], "no device 'cuda:77'"),
        (["conv_vae_mnist", "--import", "nothing.py"], "--import nothing.py: there is no such Python file"),
        (["ae_mnist", "--dry-run", "--set", "objective={\"name\": \"elbo\"}"], "objective 'reconstruction'"),
        (["conv_vae_mnist", "--device", "meta"], "no device 'meta'"),
        (["conv_vae_mnist", "--dry-run", "--set", "model.channels=[1048576,1048576]"], "make it smaller"),
        (["conv_vae_mnist", "--set", "optimizer.name=sgdd"], "unknown optimizer 'sgdd'; did you mean 'sgd'"),
        (["conv_vae_mnist", "--dry-run", "--set", FOLDER_OF_30_PIXELS], "multiples of 4"),
    ],
)  # fmt: skip
def test_mistakes(arguments: list[str], expected: str, tmp_path: Path) -> None:
    done = command("train", *arguments, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_ones_own_that_fails(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import zoo\n\nzoo.registr_variant('x')\n")
    done = command("train", "conv_vae_mnist", "--import", tmp_path / "mine.py", "--print-recipe")
    assert done.returncode == 2
    assert "mine.py, line 3: AttributeError" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_that_do_not_exist() -> None:
    done = command("train", "conv_vae_mnist", "--epochs", "3")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_malformed_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(tiny_fields())[:-1])
    done = command("train", tmp_path / "r.json")
    assert done.returncode == 2
    assert "line 1, column" in done.stderr


def test_pictures_that_are_skipped_are_reported_without_a_traceback(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(30):
        Image.new("L", (20, 20), index * 8).save(folder / f"{index}.png")
    (folder / "broken.png").write_text("x")
    fields = tiny_fields(data={"name": "image_folder", "path": str(folder), "size": 16, "channels": 1})
    (tmp_path / "r.json").write_text(json.dumps(fields))
    done = command("train", tmp_path / "r.json", "--out", tmp_path / "run", ZOO_DATA=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    assert "warning: skipped 1 of" in done.stderr
    (folder / "broken.png").unlink()
    for path in folder.iterdir():
        path.unlink()
    empty = command("train", tmp_path / "r.json", "--out", tmp_path / "run2", ZOO_DATA=str(tmp_path / "data"))
    assert empty.returncode == 2
    assert "no images under" in empty.stderr


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("linear_vae_mnist", ["model.hidden=[65536]", "training.batch_size=1048576"]),
        ("vq_vae_cifar10", ["training.batch_size=1048576"]),
    ],
)
def test_a_dry_run_takes_no_memory_to_say_how_much_a_run_needs(recipe: str, changes: list[str]) -> None:
    done = command("train", recipe, "--dry-run", *(part for change in changes for part in ("--set", change)))
    assert done.returncode == 0, done.stderr
    assert re.search(r"about [\d,]+ MiB of memory .*: more than this machine has .*lower training", done.stdout)


def test_a_dry_run_of_every_entry_is_fast() -> None:
    started = time.process_time()
    done = command("train", "*", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("MiB of memory") == len(zoo.list_models())
    assert time.process_time() - started < 20


def test_parts_that_do_not_fit_leave_nothing_behind(tmp_path: Path, recipe_file: Callable[..., Path]) -> None:
    recipe = recipe_file(model={"variant": "ae", "latent_dim": 3}, objective={"name": "elbo"})
    done = command("train", recipe, "--out", tmp_path / "runs", "--import", PLUGIN)
    assert done.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["data.name=glyphs"], "conv_vae_mnist_changed"),
        (["model.latent_dim=3", "training.epochs=1"], "conv_vae_mnist_changed"),
        (["training.epochs=1"], "conv_vae_mnist"),
        (["data.name=glyphs", "name=mine"], "mine"),
    ],
)
def test_an_entry_with_other_images_or_another_model_does_not_keep_its_name(overrides: list[str], name: str) -> None:
    assert find_recipe("conv_vae_mnist", overrides).name == name
    assert find_recipe(str(ROOT / "recipes" / "vae_conv.json"), overrides).name == name


@pytest.mark.parametrize(("more", "said"), [([], True), (["name=mine"], False)])
def test_the_other_name_of_a_changed_entry_is_said(more: list[str], said: bool, tmp_path: Path) -> None:
    small = ["data.name=tiny", "model.hidden=[8]", "training.epochs=1", *more]
    sets = [word for override in small for word in ("--set", override)]
    done = command("train", "linear_vae_mnist", "--import", PLUGIN, "--device", "cpu", *sets, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = "linear_vae_mnist with these --set is another model, called linear_vae_mnist_changed; --set name=mine"
    assert done.stdout.startswith(line) == said
    assert ("another model" in done.stdout) == said


def test_an_imported_file_finds_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "ext").mkdir()
    (tmp_path / "ext" / "my_neighbour.py").write_text("WORD = 'found'\n")
    (tmp_path / "ext" / "mine.py").write_text("from my_neighbour import WORD\n\nprint(WORD)\n")
    done = process("train", "conv_vae_mnist", "--import", "ext/mine.py", "--print-recipe", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("found\n{")


def test_a_recipe_of_ones_own_keeps_its_name(recipe_file: Callable[..., Path]) -> None:
    assert find_recipe(str(recipe_file()), ["model.latent_dim=3"]).name == "tiny_vae"
