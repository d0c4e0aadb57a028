"""Labels from subfolders, and images that are not square."""

from __future__ import annotations

import json
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from tests.helpers import SHIPPED_VARIANTS, command, dataset, tiny_fields, tiny_model, usual_objective
from zoo.datasets import load_images
from zoo.datasets._folder_classes import found_classes, known_classes, numbered_classes, why_no_classes
from zoo.entries.trained_model import TrainedModel
from zoo.errors import ZooError
from zoo.inference.image_stream import open_images
from zoo.schema.recipe import parse_data
from zoo.system.image_files import Fit, Presentation, fitted, read_image

CLASSES = ("bird", "cat", "dog")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "zoo-data"))
    monkeypatch.chdir(tmp_path)


def put(path: str, grey: int, size: tuple[int, int] = (16, 16)) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size[::-1], 3), grey, np.uint8)
    pixels[: size[1] // 4] = 255 - grey
    Image.fromarray(pixels).save(path)


def animals(root: str = "pics", splits: tuple[str, ...] = ("",)) -> None:
    """Each class has its own grey: 0, 100, 200."""
    for split in splits:
        for label, name in enumerate(CLASSES):
            for number in range(10):
                put(f"{root}/{split}/{name}/p{number}.png", 100 * label + number)


def settings(path: str = "pics", **more: Any) -> Any:
    return dataset("image_folder", **{"path": path, "size": 16, "channels": 1, **more})


def trained(data: dict[str, Any], **sections: Any) -> Any:
    fields = tiny_fields(data={"name": "image_folder", "path": "pics", "size": 16, "channels": 1, **data}, **sections)
    Path("r.json").write_text(json.dumps(fields))
    done = command("train", "r.json", "--device", "cpu", "--overwrite", cwd=Path())
    assert done.returncode == 0, done.stderr
    return zoo.load("./runs/tiny_vae")


@pytest.mark.parametrize("splits", [("",), ("train", "test")])
def test_the_subfolders_are_the_classes(splits: tuple[str, ...]) -> None:
    animals(splits=splits)
    for split in ("train", "test"):
        images = load_images(settings(), split)
        assert images.labels is not None
        greys = images.images[:, 0, -1, 0]
        assert torch.equal(images.labels, (greys.long() // 100))
    assert "3 classes, from the names of subfolders: bird (0), cat (1), dog (2)" in " ".join(images.notes)
    assert settings().class_names == CLASSES


def test_classes_named_or_none() -> None:
    animals()
    images = load_images(settings(classes=("dog", "bird", "cat")), "train")
    assert images.labels is not None
    greys = images.images[:, 0, -1, 0].long() // 100
    assert torch.equal(images.labels, torch.tensor([1, 2, 0])[greys])
    assert load_images(settings(classes=()), "train").labels is None
    with pytest.warns(UserWarning, match="left out 20 .*in no folder of data.classes"):
        only = [load_images(settings(classes=("cat",)), split) for split in ("train", "test")]
    assert sum(map(len, only)) == 10


def test_what_is_no_class() -> None:
    paths = [PurePosixPath(path) for path in ("all/b/1.png", "all/a/2.png", "all/b/3.png", "all/a/4.png")]
    assert found_classes(paths) == (("a", "b"), [1, 0, 1, 0])
    assert found_classes([*paths, PurePosixPath("5.png")]) == ((), [None] * 5)
    assert found_classes([PurePosixPath(f"a/{n}.png") for n in range(4)])[0] == ()
    cases = [PurePosixPath(f"case_{n}/slice.png") for n in range(30)]
    assert found_classes(cases)[0] == ()  # one image each: a patient is no class
    numbers = [PurePosixPath(f"{n}/{i}.png") for n in (0, 1, 2, 10) for i in range(3)]
    assert found_classes(numbers)[0] == ("0", "1", "2", "10")
    animals()
    assert load_images(settings(group=1), "train").labels is None


def test_a_few_images_in_no_subfolder_are_named_as_the_reason_for_no_classes() -> None:
    animals()
    Path("pics/bird/p0.png").rename("pics/cover.png")
    total = sum(1 for _ in Path("pics").rglob("*.png"))
    words = rf"pics: 1 of {total} images .first: cover.png. are in no subfolder, so that the names of subfolders are no"
    with pytest.warns(UserWarning, match=words):
        assert load_images(settings(), "train").labels is None
    loose = [PurePosixPath(f"{n}.png") for n in range(5)]
    assert why_no_classes([*loose, *(PurePosixPath(f"{name}/{n}.png") for name in "ab" for n in range(3))]) == ""
    assert why_no_classes(loose) == ""


def test_a_class_whose_name_no_folder_can_have() -> None:
    names = ["T-shirt/top", "Trouser"]
    paths = [PurePosixPath(f"{name}/1.png") for name in ("T-shirt-top", "T-shirt_top", "Trouser", "1")]
    assert known_classes(paths, names) == [0, 0, 1, None]
    animals()
    for number, name in enumerate(CLASSES):
        Path("pics", name).rename(f"pics/{number}")
    images = open_images("./pics", zoo.load("conditional_vae_16_fashion_mnist"))
    (batch,) = images.batches(100)
    assert batch.labels is not None
    assert set(batch.labels.tolist()) == {0, 1, 2}


def test_the_first_images_of_sorted_classes_are_said_to_be_of_some_only() -> None:
    animals(splits=("train", "test"))
    with pytest.warns(UserWarning, match=r"the first 5 train images .data.train_images. are of 1 of the 3 classes"):
        load_images(settings(train_images=5), "train")


def test_an_unreadable_image_takes_its_label_with_it() -> None:
    animals(splits=("train", "test"))
    Path("pics/train/bird/p0.png").write_bytes(b"x")
    with pytest.warns(UserWarning, match="skipped 1"):
        images = load_images(settings(), "train")
    assert images.labels is not None
    assert torch.equal(images.labels, images.images[:, 0, -1, 0].long() // 100)


def test_some_classes_in_training_and_in_tasks() -> None:
    animals()
    model = trained({"only_classes": [0, 2]})
    stored = json.loads(Path("runs/tiny_vae/config.json").read_text())
    assert stored["recipe"]["data"]["classes"] == list(CLASSES)
    assert sum(split["images"] for split in stored["dataset"].values()) == 20
    for source, greys in (("./pics:cat", {1}), ("./pics:bird,dog", {0, 2}), ("./pics:1", {1}), ("./pics", {0, 1, 2})):
        (batch,) = open_images(source, model).batches(100)
        assert set((batch.images[:, 0, -1, 0] // 100).tolist()) == greys
        assert batch.labels is None
    with pytest.raises(ZooError, match="no image is in a folder named 'cta'; did you mean 'cat'"):
        open_images("./pics:cta", model)
    with pytest.raises(ZooError, match="there is no folder"):
        open_images("./pisc:cat", model)
    done = command("anomaly", "./runs/tiny_vae", "./pics:cat", "--sheet", "pics/a.png", cwd=Path())
    assert "is among the images" in done.stderr


def test_names_of_classes_stay_private_where_they_decide_nothing() -> None:
    animals()
    trained({})
    assert json.loads(Path("runs/tiny_vae/config.json").read_text())["recipe"]["data"]["classes"] is None


def test_a_conditional_model_of_own_images() -> None:
    animals()
    model = trained({}, model={**tiny_model("conditional_vae"), "classes": 3}, objective={"name": "elbo"})
    assert model.config is not None
    assert model.config.checked_recipe.data.class_names == CLASSES
    (batch,) = open_images("./pics", model).batches(100)
    assert batch.labels is not None
    assert torch.equal(batch.labels, batch.images[:, 0, -1, 0].long() // 100)
    for number in range(3):
        put(f"new/dog/n{number}.png", 200)  # one class alone, and others of no class
        put(f"new/fish/n{number}.png", 50)
    with pytest.warns(UserWarning, match="left out 3 .*in no folder named like a class"):
        (batch,) = open_images("./new", model).batches(100)
    assert batch.labels is not None and batch.labels.tolist() == [2, 2, 2]
    put("loose/n.png", 200)
    with pytest.raises(ZooError, match=r"into folders named like its classes \(bird, cat, dog"):
        open_images("./loose", model)
    for verb in (("encode", "--out", "c.npz"), ("anomaly", "--out", "a.csv")):
        done = command(verb[0], "./runs/tiny_vae", "./pics", *verb[1:], "--device", "cpu", cwd=Path())
        assert done.returncode == 0, done.stderr
    assert np.load("c.npz")["labels"].tolist() == [0] * 10 + [1] * 10 + [2] * 10
    done = command("evaluate", "./runs/tiny_vae", "--device", "cpu", cwd=Path())
    assert done.returncode == 0, done.stderr


def test_a_conditional_model_of_images_in_no_folders_is_refused_before_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("zoo.datasets._image_files.decode_all", refuse)
    for number in range(20):
        put(f"pics/{number}.png", number)
    data = {"name": "image_folder", "path": "pics", "size": 16, "channels": 1}
    model = {**tiny_model("conditional_vae"), "classes": 3}
    Path("r.json").write_text(json.dumps(tiny_fields(data=data, model=model, objective={"name": "elbo"})))
    for dry in ((), ("--dry-run",)):
        done = command("train", "r.json", "--device", "cpu", *dry, cwd=Path())
        assert done.returncode == 2
        assert "'image_folder' has no labels; conditional_vae needs one that has" in done.stderr
    assert not list(Path().glob("runs/*"))


def test_a_conditional_model_of_numbered_classes() -> None:
    model = zoo.load("conditional_vae_mnist")
    for digit in (3, 7):
        for number in range(2):
            put(f"digits/{digit}/n{number}.png", digit)
    (batch,) = open_images("./digits", model).batches(10)
    assert batch.labels is not None and batch.labels.tolist() == [3, 3, 7, 7]


def test_comparing_on_a_folder_gives_a_conditional_model_the_labels_that_folders_name() -> None:
    for digit in (3, 7):
        for number in range(20):
            put(f"digits/{digit}/n{number}.png", digit)
    images = load_images(TrainedModel("conditional_vae_mnist", data="./digits").dataset, "train")
    assert images.labels is not None
    assert set(images.labels.tolist()) == {3, 7}
    assert images.images.shape[1:] == (1, 28, 28)


def test_classes_of_own_images_are_told_apart_by_their_codes() -> None:
    pytest.importorskip("sklearn")
    animals()
    trained({})
    done = command(
        "evaluate", "./runs/tiny_vae", "--metrics", "representation", "--json", "--device", "cpu", cwd=Path()
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["knn_accuracy"] > 0.9


SCENE = (64, 32)
"""Width and height of an image whose left half is red and whose right half is blue."""


def scene() -> Path:
    pixels = np.zeros((SCENE[1], SCENE[0], 3), np.uint8)
    pixels[:, :32, 0] = pixels[:, 32:, 2] = 255
    Image.fromarray(pixels).save("scene.png")
    return Path("scene.png")


@pytest.mark.parametrize("shape", [(3, 32, 64), (3, 16, 32), (3, 64, 64), (3, 40, 16)])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_how_an_image_of_other_proportions_is_fitted(fit: Fit, shape: tuple[int, int, int]) -> None:
    _, height, width = shape
    image = np.asarray(read_image(scene(), Presentation(shape, fit)))
    assert image.shape == (height, width, 3)
    red, blue, black = (int(count) for count in ((image[..., 0] > 200).sum(), (image[..., 2] > 200).sum(),
                                                 (image.max(axis=2) < 60).sum()))  # fmt: skip
    assert red == pytest.approx(blue, rel=0.15)
    whole = min(width / 64, height / 32) ** 2 * 64 * 32
    expected = height * width - whole if fit == "pad" else 0
    assert black == pytest.approx(expected, abs=0.15 * height * width)


def test_sizes_that_are_wrong() -> None:
    for size in ([16], [16, 4], [16, 16, 16], 4, "16x32"):
        with pytest.raises(ZooError, match="size"):
            parse_data({"name": "image_folder", "path": "x", "size": size}, "x")
    assert settings(size=(16, 24)).image_shape == (1, 16, 24)
    assert settings(size=24).image_shape == (1, 24, 24)


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_every_variant_takes_images_that_are_not_square(variant: str) -> None:
    for number in range(20):
        put(f"pics/p{number}.png", 10 * number, (50, 20))
    put("pics/a/p.png", 7, (50, 20))
    put("pics/b/p.png", 8, (50, 20))
    classes = {"classes": 2} if "classes" in tiny_model(variant) or "conditional" in variant else {}
    if classes:
        for number in range(20):
            Path(f"pics/p{number}.png").rename(f"pics/{'ab'[number % 2]}/q{number}.png")
    model = trained(
        {"size": [16, 32], "channels": 3, "fit": "pad"},
        model={**tiny_model(variant), **classes},
        objective={"name": usual_objective(variant)["name"]},
    )
    assert model.image_shape == (3, 16, 32)
    images = torch.rand(2, 3, 16, 32)
    given = {"labels": torch.tensor([0, 1])} if classes else {}
    assert model.reconstruct(images, **given).shape == images.shape
    assert model.sample(2).shape == (2, 3, 16, 32)


@pytest.mark.slow
def test_every_task_takes_images_that_are_not_square() -> None:
    for number in range(20):
        put(f"pics/p{number}.png", 10 * number, (50, 20))
    trained({"size": [16, 32], "channels": 3})
    for verb in (
        ("encode", "./runs/tiny_vae", "./pics", "--out", "c.npz"),
        ("anomaly", "./runs/tiny_vae", "./pics", "--out", "a.csv", "--sheet", "a.png"),
        ("impute", "./runs/tiny_vae", "./pics", "--box", "0,0,8,8", "--out", "imputed"),
        ("compress", "./runs/tiny_vae", "./pics", "--out", "c.aez"),
        ("decompress", "c.aez", "--model", "./runs/tiny_vae", "--out", "back"),
        ("compare", "./runs/tiny_vae", "--data", "./pics", "--out", "c.png"),
        ("figures", "./runs/tiny_vae", "--out", "figures"),
        ("evaluate", "./runs/tiny_vae"),
    ):
        done = command(*verb, "--device", "cpu", cwd=Path())
        assert done.returncode == 0, (verb, done.stderr)


def test_a_network_that_cannot_take_a_size_says_why() -> None:
    for number in range(12):
        put(f"pics/p{number}.png", 10 * number, (50, 20))
    fields = tiny_fields(
        data={"name": "image_folder", "path": "pics", "size": [16, 30]}, model={"variant": "conv_vae", "latent_dim": 2}
    )
    Path("r.json").write_text(json.dumps(fields))
    done = command("train", "r.json", cwd=Path())
    assert done.returncode == 2
    assert "height and width must be multiples of 4; got 16x30" in done.stderr


def test_a_number_too_large_for_a_class_is_none() -> None:
    paths = [PurePath("20240101123045678901/a.png"), PurePath("99999999999/3/b.png"), PurePath("7/c.png")]
    assert numbered_classes(paths) == [None, 3, 7]


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 2000), (2000, 1), (1, 1)])
def test_an_image_of_any_proportions_is_fitted(size: tuple[int, int], fit: Fit) -> None:
    assert np.asarray(fitted(Image.new("L", size, 200), (32, 16), fit)).max() == 200
