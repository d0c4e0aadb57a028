"""The images that a trained model is measured on: where they are now, or others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import CPU, command, tiny_recipe
from zoo.entries.trained_model import TrainedModel
from zoo.errors import NotApplicable, ZooError
from zoo.training import train

SAME, OTHER = "the same images as in training", "other images than in training"


def put(folder: Path, count: int, seed: int) -> None:
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(seed).integers(0, 256, (count, 16, 16), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose images have moved to ``pics_moved``, with the list of those that are held out and a limit."""
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    put(Path("pics"), 20, 0)
    put(Path("others"), 20, 1)
    Path("pics/test.txt").write_text("".join(f"{number:02}.png\n" for number in range(3, 9)))
    data = {"name": "image_folder", "path": "pics", "size": 16, "channels": 1}
    limits = {"test_list": "pics/test.txt", "test_images": 5}
    run = train(tiny_recipe(data={**data, **limits}), "run", CPU)
    Path("pics").rename("pics_moved")
    return run


def test_the_images_are_found_where_they_are_now(moved: Path) -> None:
    trained = TrainedModel(moved, data="./pics_moved")
    assert trained.has_images_of_card("test") and trained.has_images_of_card("train")
    assert not TrainedModel(moved, data="./others").has_images_of_card("test")
    with pytest.raises(NotApplicable, match="there is no folder pics; if they are elsewhere now, say where: --data"):
        _ = TrainedModel(moved).test
    with pytest.raises(ZooError, match="there is no folder pics"):
        _ = TrainedModel(moved, data="./pics").test
    with pytest.raises(ZooError, match=r"--data others: .*\(for the folder, write ./others\)"):
        _ = TrainedModel(moved, data="others").test


def test_a_dataset_by_name_is_binarised_as_in_training() -> None:
    named = TrainedModel("vamp_vae_mnist", data="mnist")
    assert named.dataset.binarization == "dynamic"
    assert TrainedModel("vamp_vae_mnist", data="fashion_mnist").dataset.binarization == "dynamic"
    assert TrainedModel("conv_vae_mnist", data="mnist").dataset.binarization == "none"


@pytest.mark.parametrize("verb", [["evaluate"], ["evaluate", "--check"], ["compare"], ["figures", "--kind", "tsne"]])
def test_the_error_for_images_that_have_moved_names_the_option(moved: Path, verb: list[str], tmp_path: Path) -> None:
    done = command(*verb, "./run", cwd=tmp_path)
    assert "there is no folder pics; if they are elsewhere now, say where: --data ./images" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_command_that_measures_says_which_images_they_are(moved: Path, tmp_path: Path) -> None:
    measured = ["evaluate", "./run", "--metrics", "mse,psnr"]
    for verb in (measured, ["compare", "./run"], ["figures", "./run", "--kind", "reconstructions"]):
        for folder, words in (("./pics_moved", SAME), ("./others", OTHER)):
            done = command(*verb, "--data", folder, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            assert words in done.stdout + done.stderr, verb
    card = json.loads((moved / "config.json").read_text())["metrics"]["test"]
    for folder, same in (("./pics_moved", True), ("./others", False)):
        report = json.loads(command(*measured, "--data", folder, "--json", cwd=tmp_path).stdout)
        assert report["same_images"] is same
        assert (report["metrics"]["mse"] == pytest.approx(card["mse"], rel=1e-5)) is same


def test_a_card_is_checked_on_its_own_images_only(moved: Path, tmp_path: Path) -> None:
    done = command("evaluate", "./run", "--check", "--data", "./pics_moved", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert SAME in done.stdout
    for option in ("--check", "--update"):
        done = command("evaluate", "./run", option, "--data", "./others", cwd=tmp_path)
        assert done.returncode == 2
        assert "are not those that tiny_vae was measured on" in done.stderr


def test_a_run_is_verified_and_trained_again_on_images_that_have_moved(moved: Path, tmp_path: Path) -> None:
    again = ["--retrain", "--out", "again"]
    done = command("verify", "./run", "--data", "./pics_moved", *again, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "weights again: the same bits" in done.stdout
    done = command("verify", "./run", "--data", "./others", cwd=tmp_path)
    assert done.returncode == 1
    assert "FAILED test images: not the 5 images" in done.stdout
    shutil.rmtree("again")
    done = command("verify", "./run", "--data", "./others", *again, cwd=tmp_path)
    assert done.returncode == 2
    assert not Path("again").exists()
