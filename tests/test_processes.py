"""What crosses processes, and what several threads do at the same time."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.helpers import dataset
from zoo.datasets import load_images
from zoo.entries.catalog import list_models
from zoo.errors import NotApplicable, UnknownNameError, ZooError
from zoo.hub.client import Absent, Conflict, NoRevision, Offline, Unreachable
from zoo.models import Autoencoder
from zoo.schema.recipe import Recipe
from zoo.system.collectives import LostProcess
from zoo.training.divergence import Divergence
from zoo.training.epochs import Interrupted
from zoo.training.run import OutOfMemory

KINDS = [
    ZooError,
    NotApplicable,
    Absent,
    NoRevision,
    Unreachable,
    Offline,
    Conflict,
    LostProcess,
    Divergence,
    OutOfMemory,
]


@pytest.fixture(scope="module")
def spawned() -> Iterator[ProcessPoolExecutor]:
    """One process that was started anew, not forked."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


def described(recipe: Recipe) -> tuple[str, Recipe]:
    return recipe.digest(), recipe


def unknown() -> None:
    zoo.load("conv_vae_mnits")


@pytest.mark.parametrize("name", list_models())
def test_every_recipe_is_equal_after_pickling(name: str) -> None:
    recipe = zoo.recipe(name)
    for part in (recipe, recipe.data, recipe.model, recipe.objective, recipe.optimizer, recipe.training):
        again = pickle.loads(pickle.dumps(part))
        assert again == part
        assert part == again
        assert type(again) is type(part)
    assert pickle.loads(pickle.dumps(recipe)).digest() == recipe.digest()


def test_recipes_models_and_errors_cross_processes(spawned: ProcessPoolExecutor, model: Autoencoder) -> None:
    recipe = zoo.recipe("conv_vae_mnist")
    assert spawned.submit(described, recipe).result() == (recipe.digest(), recipe)
    assert model.config is not None
    assert spawned.submit(described, model.config.checked_recipe).result()[1] == model.config.checked_recipe
    with pytest.raises(UnknownNameError, match="did you mean 'conv_vae_mnist'"):
        spawned.submit(unknown).result()


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_the_same_after_pickling(kind: type[ZooError]) -> None:
    class_or_none: Any = pickle.loads(pickle.dumps(kind("a line\nand another")))
    assert type(class_or_none) is kind
    assert str(class_or_none) == "a line\nand another"
    for error in (UnknownNameError("entry", "one", ["two", "ones"], " (a note)"), Interrupted("stopped")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))


def test_four_threads_decode_the_same_folder_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    (tmp_path / "images").mkdir()
    for number in range(60):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number:02}.png")
    config = dataset("image_folder", path=str(tmp_path / "images"), size=16, channels=3)
    with ThreadPoolExecutor(4) as pool:
        digests = [*pool.map(lambda _: load_images(config, "train").digest, range(4))]
    assert len(set(digests)) == 1


CELL = '''
from typing import Literal
import torch, zoo
class Config(zoo.schema.DatasetConfig):
    """Mine."""
    name: Literal["of_a_cell"] = "of_a_cell"
    SHAPE = (1, 8, 8)
@zoo.register_dataset(config=Config)
def {function}(config, split):
    return zoo.datasets.ImageSet(torch.full((4, 1, 8, 8), {value}, dtype=torch.uint8))
'''


@pytest.fixture
def cell() -> Iterator[Callable[..., None]]:
    """Runs a cell of a notebook, or a file, that registers a dataset which returns images of one value."""

    def run(value: int, file: str = "<cell 1>", function: str = "load", module: str = "__main__") -> None:
        exec(
            compile(CELL.format(value=value, function=function), file, "exec", dont_inherit=True), {"__name__": module}
        )

    yield run
    zoo.registry.DATASETS._registered.pop("of_a_cell", None)


def found() -> int:
    return int(load_images(dataset("of_a_cell"), "train").images[0, 0, 0, 0])


def test_a_cell_that_is_run_again_replaces_what_it_has_registered(cell: Callable[..., None]) -> None:
    for value, (file, function) in enumerate(
        [
            ("<string>", "load"),
            ("<string>", "load"),
            ("/tmp/ipykernel_7/1.py", "load"),
            ("<ipython-input-2-ab>", "other"),
        ]
    ):
        cell(value, file, function)
        assert found() == value


def test_a_file_that_is_run_again_replaces_what_it_has_registered_and_no_other_does(cell: Callable[..., None]) -> None:
    cell(1, "mine.py")
    cell(2, "mine.py")
    assert found() == 2
    for others in (("other.py",), ("<cell 1>",), ("mine.py", "other"), ("mine.py", "load", "another")):
        with pytest.raises(ZooError, match="the dataset 'of_a_cell' is already registered; choose another name"):
            cell(3, *others)
    assert found() == 2


def test_a_cell_cannot_replace_what_the_zoo_ships(cell: Callable[..., None]) -> None:
    code = CELL.format(value=0, function="glyphs").replace("of_a_cell", "glyphs")
    for _ in range(2):
        with pytest.raises(ZooError, match="the dataset 'glyphs' is already registered"):
            exec(compile(code, "<cell>", "exec", dont_inherit=True), {"__name__": "__main__"})


def test_a_cell_with_a_metric_can_be_run_again() -> None:
    code = """
import zoo
from zoo.schema.metric import Metric
@zoo.register_metrics("of_a_cell", Metric("of_a_cell", "Mine", "", "My own.", "here"), on_request=True)
def measured(context):
    return {"of_a_cell": 1.0}
"""
    try:
        for _ in range(2):
            exec(compile(code, "<cell>", "exec", dont_inherit=True), {"__name__": "__main__"})
    finally:
        zoo.registry.METRICS._registered.pop("of_a_cell", None)
