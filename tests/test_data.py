"""Datasets: real ones where they are there, the embedded one to the bit, folders of pictures, and every way to fail."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image

from tests.conftest import needs_fashion_mnist, needs_mnist
from zoo.data import ImageSet, as_float, data_folder, load_images
from zoo.datasets import glyphs
from zoo.devices import isolated_randomness
from zoo.errors import ZooError
from zoo.registry import DATASETS
from zoo.sections import DatasetConfig


def config(name: str, **settings: Any) -> DatasetConfig:
    found: DatasetConfig = DATASETS.get(name).config(**settings)
    return found


# --- real data --------------------------------------------------------------------------------------------------------


@needs_mnist
def test_mnist_is_mnist() -> None:
    train, test = (load_images(config("mnist"), split) for split in ("train", "test"))
    assert (train.images.shape, test.images.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert train.images.dtype == torch.uint8
    assert train.labels is not None
    assert train.labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert train.digest != test.digest
    assert train.images.float().mean().item() / 255 == pytest.approx(0.1307, abs=1e-4)


@needs_fashion_mnist
def test_fashion_mnist_is_fashion_mnist() -> None:
    test = load_images(config("fashion_mnist"), "test")
    assert test.images.shape == (10_000, 1, 28, 28)


@needs_mnist
def test_a_flipped_bit_in_a_dataset_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(data_folder() / "MNIST", tmp_path / "MNIST")
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    with pytest.raises(ZooError, match="'mnist' under .* are damaged"):
        load_images(config("mnist"), "test")


@needs_mnist
def test_a_truncated_dataset_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(data_folder() / "MNIST", tmp_path / "MNIST")
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:100_000])
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    with pytest.raises(ZooError, match="damaged .* delete them"):
        load_images(config("mnist"), "test")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist", "emnist", "cifar10", "svhn", "celeba"])
def test_a_dataset_that_cannot_be_had_names_the_three_remedies(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("scipy") if name == "svhn" else None
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))

    def refuse(self: Any, *args: Any, download: bool = False, **options: Any) -> None:
        raise ConnectionError("no network") if download else RuntimeError("Dataset not found")

    classes = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "celeba": "CelebA"}
    monkeypatch.setattr(getattr(torchvision.datasets, classes.get(name, name.upper())), "__init__", refuse)
    with pytest.raises(ZooError) as caught:
        load_images(config(name), "train")
    for remedy in ("network", "ZOO_DATA", "--set data.name=glyphs"):
        assert remedy in str(caught.value)


# --- what torchvision gives becomes (N, C, H, W) uint8 ----------------------------------------------------------------


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: Any) -> list[dict[str, Any]]:
    """Replace a torchvision dataset by one with these attributes; returns the calls."""
    calls: list[dict[str, Any]] = []

    def open_dataset(root: Any, **options: Any) -> Any:
        calls.append(options)
        return SimpleNamespace(**attributes)

    monkeypatch.setattr(torchvision.datasets, name, open_dataset)
    return calls


def test_cifar10_moves_its_channels_to_the_front(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.RandomState(0).randint(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    calls = stand_in(monkeypatch, "CIFAR10", data=data, targets=[1, 2, 3, 4, 5])
    found = load_images(config("cifar10"), "test")
    assert calls == [{"download": False, "train": False}]
    assert found.images.shape == (5, 3, 32, 32)
    assert torch.equal(found.images[2, :, 7, 9], torch.from_numpy(data[2, 7, 9]))


def test_svhn_keeps_its_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.RandomState(0).randint(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    calls = stand_in(monkeypatch, "SVHN", data=data, labels=np.arange(4))
    monkeypatch.setattr("zoo.datasets.svhn.find_spec", lambda name: object())
    found = load_images(config("svhn"), "train")
    assert calls == [{"download": False, "split": "train"}]
    assert torch.equal(found.images, torch.from_numpy(data))


def test_svhn_without_scipy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.datasets.svhn.find_spec", lambda name: None)
    with pytest.raises(ZooError, match=r"autoencoder-zoo\[svhn\]"):
        load_images(config("svhn"), "train")


def test_emnist_is_turned_upright(monkeypatch: pytest.MonkeyPatch) -> None:
    upright = torch.zeros(1, 28, 28, dtype=torch.uint8)
    upright[0, 2:26, 13:15] = 255  # a standing bar
    calls = stand_in(monkeypatch, "EMNIST", data=upright.transpose(1, 2), targets=torch.tensor([1]))
    found = load_images(config("emnist", partition="letters"), "train")
    assert calls == [{"download": False, "train": True, "split": "letters"}]
    assert torch.equal(found.images[0], upright)


def test_kmnist_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    data = torch.randint(0, 256, (3, 28, 28), dtype=torch.uint8)
    stand_in(monkeypatch, "KMNIST", data=data, targets=torch.arange(3))
    assert torch.equal(load_images(config("kmnist"), "test").images[:, 0], data)


def test_celeba_is_cropped_resized_and_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    face = Image.new("RGB", (178, 218), "red")
    face.paste("blue", (15, 35, 15 + 148, 35 + 148))  # what the crop keeps

    class Faces(list[tuple[Image.Image, int]]):
        opened = 0

        def __getitem__(self, index: Any) -> Any:
            Faces.opened += 1
            return super().__getitem__(index)

    monkeypatch.setattr(torchvision.datasets, "CelebA", lambda root, **options: Faces([(face, 0)] * 6))
    for _ in range(2):
        found = load_images(config("celeba", size=32), "train")
        assert found.images.shape == (6, 3, 32, 32)
        assert found.images[0].float().mean(dim=(1, 2)).tolist() == [0, 0, 255]
    assert Faces.opened == 6


# --- glyphs -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few() -> dict[str, Any]:
    return {name: values[:300] for name, values in glyphs.draw_factors(0).items()}


def test_glyphs_are_the_same_bits_everywhere(few: dict[str, Any]) -> None:
    images = torch.from_numpy(glyphs.render(few)).unsqueeze(1)
    assert ImageSet(images).digest == "15f084c6dad3ffe9a82ff8613a67f6bff1bb961e26e0ea82e1d33548b00b965e"


def test_glyphs_depend_on_the_seed_and_not_on_the_chunk(few: dict[str, Any]) -> None:
    assert np.array_equal(glyphs.render(few), glyphs.render(few, chunk=77))
    assert not np.array_equal(glyphs.draw_factors(0)["label"], glyphs.draw_factors(1)["label"])


def test_every_face_and_digit_draws_a_visible_glyph() -> None:
    n = len(glyphs.FACES) * 10
    plain = {name: np.full(n, (low + high) / 2, dtype=np.float32) for name, (low, high) in glyphs.RANGES.items()}
    plain |= {"label": np.arange(n) % 10, "face": np.arange(n) // 10}
    ink = glyphs.render(plain).reshape(n, -1).mean(axis=1) / 255
    assert ink.min() > 0.04
    assert ink.max() < 0.5


def test_glyphs_show_what_their_factors_say() -> None:
    def draw(**factors: float) -> np.ndarray:
        middle = {"rotation": 0, "scale": 18, "shear": 0, "shift_x": 0, "shift_y": 0, "stroke": 0} | factors
        arrays = {name: np.array([value], dtype=np.float32) for name, value in middle.items()}
        image = glyphs.render(arrays | {"label": np.array([0]), "face": np.array([0])})[0]
        return image.astype(float)

    def centre(image: np.ndarray) -> tuple[float, float]:
        y, x = np.mgrid[: len(image), :28]
        return (image * x).sum() / image.sum(), (image * y).sum() / image.sum()

    plain = draw()
    x, y = centre(plain)
    assert centre(draw(shift_x=2))[0] - x == pytest.approx(2, abs=0.1)
    assert centre(draw(shift_y=2))[1] - y == pytest.approx(2, abs=0.1)
    assert draw(stroke=0.5).sum() > 1.15 * plain.sum()
    assert (draw(scale=22).max(axis=1) > 128).sum() - (plain.max(axis=1) > 128).sum() == pytest.approx(4, abs=1)
    top, bottom = centre(draw(rotation=15)[:14]), centre(draw(rotation=15)[14:])
    assert top[0] < bottom[0]  # counter-clockwise: the top leans to the left
    assert centre(draw(shear=0.25)[:14])[0] > centre(draw(shear=0.25)[14:])[0]  # the top leans to the right


def test_glyphs_are_whole_cached_and_drawn_again_when_the_cache_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setattr(glyphs, "TRAIN", 200)
    monkeypatch.setattr(glyphs, "TEST", 50)
    first = load_images(config("glyphs"), "test")
    assert first.images.shape == (50, 1, 28, 28)
    assert first.labels is not None
    assert torch.equal(first.labels, first.factors["label"])
    assert set(first.factors) == {"label", "face", *glyphs.RANGES}
    (path,) = (tmp_path / "glyphs").iterdir()
    monkeypatch.setattr(glyphs, "render", lambda factors: pytest.fail("the cache was not used"))
    assert load_images(config("glyphs"), "test").digest == first.digest
    monkeypatch.undo()
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setattr(glyphs, "TRAIN", 200)
    monkeypatch.setattr(glyphs, "TEST", 50)
    path.write_bytes(path.read_bytes()[:999])
    assert load_images(config("glyphs"), "test").digest == first.digest


def test_the_default_glyphs_have_sixty_and_ten_thousand_images() -> None:
    train, test = (load_images(config("glyphs"), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.labels is not None
    assert torch.bincount(train.labels).min() > 5_000


# --- folders of pictures ----------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    random = np.random.RandomState(0)
    for index in range(40):
        size = random.randint(20, 90, 2)
        mode = ("RGB", "L", "RGBA", "P")[index % 4]
        image = Image.fromarray(random.randint(0, 256, (*size, 3), dtype=np.uint8)).convert(mode)
        place = folder / "deeper" if index % 2 else folder
        image.save(place / f"{index}.{'png' if mode in ('RGBA', 'P') else 'jpg'}")
    return folder


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_any_size_and_mode(pictures: Path, channels: int) -> None:
    found = config("image_folder", path=str(pictures), size=32, channels=channels)
    train, test = (load_images(found, split) for split in ("train", "test"))
    assert len(train) + len(test) == 40
    assert len(test) >= 1
    assert train.images.shape[1:] == found.image_shape == (channels, 32, 32)
    assert train.images.dtype == torch.uint8


def test_no_picture_is_in_both_splits(pictures: Path) -> None:
    found = config("image_folder", path=str(pictures), size=16)
    train, test = (load_images(found, split).images.flatten(1) for split in ("train", "test"))
    assert not {tuple(row) for row in train.tolist()} & {tuple(row) for row in test.tolist()}


def test_subfolders_named_train_and_test_are_the_splits(pictures: Path) -> None:
    (pictures / "train").mkdir()
    (pictures / "test").mkdir()
    for index, path in enumerate(sorted(p for p in pictures.rglob("*") if p.is_file())):
        path.rename(pictures / ("test" if index < 5 else "train") / path.name)
    found = config("image_folder", path=str(pictures), size=16)
    assert (len(load_images(found, "train")), len(load_images(found, "test"))) == (35, 5)


def test_unreadable_pictures_are_reported_and_skipped(pictures: Path) -> None:
    (pictures / "empty.png").write_bytes(b"")
    (pictures / "text.jpg").write_text("no picture")
    whole = next(p for p in pictures.rglob("*.jpg") if p.stat().st_size > 1000)
    (pictures / "cut.jpg").write_bytes(whole.read_bytes()[:400])
    found = config("image_folder", path=str(pictures), size=16)
    with pytest.warns(UserWarning, match=r"skipped \d of \d+ pictures") as caught:
        sizes = [len(load_images(found, split)) for split in ("train", "test")]
    assert sum(sizes) == 40
    assert any("cut.jpg" in str(w.message) for w in caught)
    with pytest.warns(UserWarning, match="skipped"):  # and again from the cache
        [load_images(found, split) for split in ("train", "test")]


def test_a_changed_picture_is_read_again(pictures: Path) -> None:
    found = config("image_folder", path=str(pictures), size=16)
    before = load_images(found, "train").digest
    for path in pictures.rglob("*.png"):
        Image.new("RGB", (30, 30), "green").save(path)
    assert load_images(found, "train").digest != before


def test_a_missing_an_empty_and_an_unreadable_folder(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="there is no folder"):
        load_images(config("image_folder", path=str(tmp_path / "none")), "train")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("hello")
    with pytest.raises(ZooError, match="no pictures under"):
        load_images(config("image_folder", path=str(tmp_path / "empty")), "train")
    one = tmp_path / "one"
    one.mkdir()
    Image.new("L", (9, 9)).save(one / "only.png")
    with pytest.raises(ZooError, match="none for the train split"):
        load_images(config("image_folder", path=str(one)), "train")
    broken = tmp_path / "broken"
    broken.mkdir()
    for index in range(3):
        (broken / f"{index}.png").write_text("x")
    with pytest.raises(ZooError, match="can be read"), pytest.warns(UserWarning):
        load_images(config("image_folder", path=str(broken)), "train")


# --- what all share ---------------------------------------------------------------------------------------------------


def test_only_the_first_images() -> None:
    found = config("tiny", train_images=10, test_images=3)
    train, test = load_images(found, "train"), load_images(found, "test")
    assert (len(train), len(test)) == (10, 3)
    assert train.labels is not None
    assert len(train.labels) == 10


def test_dynamic_binarisation_draws_anew_with_the_intensity_as_probability() -> None:
    images = torch.full((2000, 1, 2, 2), 64, dtype=torch.uint8)
    with isolated_randomness(0, torch.device("cpu")):
        first, second = (as_float(images, config("tiny", binarization="dynamic")) for _ in range(2))
    assert set(first.unique().tolist()) == {0, 1}
    assert first.mean().item() == pytest.approx(64 / 255, abs=0.02)
    assert not torch.equal(first, second)
    plain = as_float(images, config("tiny"))
    assert plain.unique().item() == pytest.approx(64 / 255)


def test_isolated_randomness_leaves_the_stream_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with isolated_randomness(9, torch.device("cpu")):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    assert not torch.equal(inside, expected)
