"""Folders of image files: any size and mode, read once, the unreadable ones reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import dataset
from zoo.datasets import load_images
from zoo.errors import ZooError
from zoo.system.image_files import flatten


@pytest.fixture
def image_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    folder = tmp_path / "image_files"
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
def test_image_files_of_any_size_and_mode(image_files: Path, channels: int) -> None:
    config = dataset("image_folder", path=str(image_files), size=32, channels=channels)
    train, test = (load_images(config, split) for split in ("train", "test"))
    assert len(train) + len(test) == 40
    assert len(test) >= 1
    assert train.images.shape[1:] == config.image_shape == (channels, 32, 32)
    assert train.images.dtype == torch.uint8


def test_no_image_file_is_in_both_splits(image_files: Path) -> None:
    config = dataset("image_folder", path=str(image_files), size=16)
    train, test = (load_images(config, split).images.flatten(1) for split in ("train", "test"))
    assert not {tuple(row) for row in train.tolist()} & {tuple(row) for row in test.tolist()}


def test_subfolders_named_train_and_test_are_the_splits(image_files: Path) -> None:
    (image_files / "train").mkdir()
    (image_files / "test").mkdir()
    for index, path in enumerate(sorted(p for p in image_files.rglob("*") if p.is_file())):
        path.rename(image_files / ("test" if index < 5 else "train") / path.name)
    config = dataset("image_folder", path=str(image_files), size=16)
    assert (len(load_images(config, "train")), len(load_images(config, "test"))) == (35, 5)


def test_unreadable_image_files_are_reported_and_skipped(image_files: Path) -> None:
    (image_files / "empty.png").write_bytes(b"")
    (image_files / "text.jpg").write_text("no image")
    whole = next(p for p in image_files.rglob("*.jpg") if p.stat().st_size > 1000)
    (image_files / "cut.jpg").write_bytes(whole.read_bytes()[:400])
    config = dataset("image_folder", path=str(image_files), size=16)
    with pytest.warns(UserWarning, match=r"skipped \d of \d+ \w+ images") as caught:
        sizes = [len(load_images(config, split)) for split in ("train", "test")]
    assert sum(sizes) == 40
    assert any("cut.jpg" in str(w.message) for w in caught)
    with pytest.warns(UserWarning, match="skipped"):  # and again from the cache
        [load_images(config, split) for split in ("train", "test")]


def test_16_bits_and_transparency() -> None:
    ramp = Image.fromarray(np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8))
    values = np.asarray(flatten(ramp, 1)).flatten()
    assert values[0] == 0
    assert values[-1] == 255
    assert int(values[32]) == pytest.approx(130, abs=1)
    hidden = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert np.asarray(flatten(hidden, 3)).min() == 255


def test_an_image_file_that_is_refused_once_is_tried_again(image_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataset("image_folder", path=str(image_files), size=16)
    original = Image.open

    def refused(path: Path, **options: Any) -> Image.Image:
        if Path(path).name == "0.jpg":
            raise PermissionError(13, "Permission denied")
        return original(path, **options)

    monkeypatch.setattr(Image, "open", refused)
    with pytest.warns(UserWarning, match="not opened"):
        sizes = [len(load_images(config, split)) for split in ("train", "test")]
    monkeypatch.setattr(Image, "open", original)
    assert sum(sizes) == 39
    assert sum(len(load_images(config, split)) for split in ("train", "test")) == 40


def test_a_changed_image_file_is_read_again(image_files: Path) -> None:
    config = dataset("image_folder", path=str(image_files), size=16)
    before = load_images(config, "train").digest
    for path in image_files.rglob("*.png"):
        Image.new("RGB", (30, 30), "green").save(path)
    assert load_images(config, "train").digest != before


def test_a_missing_an_empty_and_an_unreadable_folder(image_files: Path, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="there is no folder"):
        load_images(dataset("image_folder", path=str(tmp_path / "none")), "train")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("hello")
    with pytest.raises(ZooError, match="there are no images under"):
        load_images(dataset("image_folder", path=str(tmp_path / "empty")), "train")
    one = tmp_path / "one"
    one.mkdir()
    Image.new("L", (9, 9)).save(one / "only.png")
    with pytest.raises(ZooError, match="none for the train split"):
        load_images(dataset("image_folder", path=str(one)), "train")
    broken = tmp_path / "broken"
    broken.mkdir()
    for index in range(3):
        (broken / f"{index}.png").write_text("x")
    with pytest.raises(ZooError, match="can be read"), pytest.warns(UserWarning):
        load_images(dataset("image_folder", path=str(broken)), "train")
