"""Datasets: real ones where they are there, what torchvision gives, and every way to fail."""

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

from tests.helpers import dataset, needs_fashion_mnist, needs_mnist, python
from zoo.datasets import as_float, binarized, data_folder, load_images
from zoo.errors import ZooError
from zoo.system.devices import isolated_randomness

# --- real data --------------------------------------------------------------------------------------------------------


@needs_mnist
def test_mnist_is_mnist() -> None:
    train, test = (load_images(dataset("mnist"), split) for split in ("train", "test"))
    assert (train.images.shape, test.images.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert train.images.dtype == torch.uint8
    assert train.labels is not None
    assert train.labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert train.digest != test.digest
    assert train.images.float().mean().item() / 255 == pytest.approx(0.1307, abs=1e-4)


@needs_fashion_mnist
def test_fashion_mnist_is_fashion_mnist() -> None:
    test = load_images(dataset("fashion_mnist"), "test")
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
        load_images(dataset("mnist"), "test")


@needs_mnist
@needs_fashion_mnist
@pytest.mark.parametrize(("name", "dataset_class"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_unpacked_files_are_read_as_torchvision_reads_them(name: str, dataset_class: str) -> None:
    for split in ("train", "test"):
        source = getattr(torchvision.datasets, dataset_class)(data_folder(), train=split == "train")
        found = load_images(dataset(name), split)
        assert found.labels is not None
        assert torch.equal(found.images.squeeze(1), source.data) and torch.equal(found.labels, source.targets)


@needs_mnist
def test_mnist_is_loaded_without_importing_torchvision() -> None:
    load = "import sys; from tests.helpers import dataset, load_images; load_images(dataset('mnist'), 'test')"
    done = python("-c", f"{load}; assert 'torchvision' not in sys.modules")
    assert done.returncode == 0, done.stderr


@needs_mnist
def test_a_truncated_dataset_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(data_folder() / "MNIST", tmp_path / "MNIST")
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:100_000])
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    with pytest.raises(ZooError, match="damaged .* delete them"):
        load_images(dataset("mnist"), "test")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist", "emnist", "cifar10", "svhn", "celeba"])
def test_a_dataset_that_cannot_be_had_names_the_three_remedies(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.datasets.svhn.find_spec", lambda name: object())
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))

    def refuse(self: Any, *args: Any, download: bool = False, **options: Any) -> None:
        raise ConnectionError("no network") if download else RuntimeError("Dataset not found")

    classes = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "celeba": "CelebA"}
    monkeypatch.setattr(getattr(torchvision.datasets, classes.get(name, name.upper())), "__init__", refuse)
    with pytest.raises(ZooError) as caught:
        load_images(dataset(name), "train")
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
    found = load_images(dataset("cifar10"), "test")
    assert calls == [{"download": False, "train": False}]
    assert found.images.shape == (5, 3, 32, 32)
    assert torch.equal(found.images[2, :, 7, 9], torch.from_numpy(data[2, 7, 9]))


def test_svhn_keeps_its_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.RandomState(0).randint(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    calls = stand_in(monkeypatch, "SVHN", data=data, labels=np.arange(4))
    monkeypatch.setattr("zoo.datasets.svhn.find_spec", lambda name: object())
    found = load_images(dataset("svhn"), "train")
    assert calls == [{"download": False, "split": "train"}]
    assert torch.equal(found.images, torch.from_numpy(data))


def test_svhn_without_scipy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.datasets.svhn.find_spec", lambda name: None)
    with pytest.raises(ZooError, match=r"autoencoder-zoo\[svhn\]"):
        load_images(dataset("svhn"), "train")


def test_emnist_is_turned_upright(monkeypatch: pytest.MonkeyPatch) -> None:
    upright = torch.zeros(1, 28, 28, dtype=torch.uint8)
    upright[0, 2:26, 13:15] = 255  # a standing bar
    calls = stand_in(monkeypatch, "EMNIST", data=upright.transpose(1, 2), targets=torch.tensor([1]))
    found = load_images(dataset("emnist", partition="letters"), "train")
    assert calls == [{"download": False, "train": True, "split": "letters"}]
    assert torch.equal(found.images[0], upright)


def test_kmnist_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    data = torch.randint(0, 256, (3, 28, 28), dtype=torch.uint8)
    stand_in(monkeypatch, "KMNIST", data=data, targets=torch.arange(3))
    assert torch.equal(load_images(dataset("kmnist"), "test").images[:, 0], data)


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
        found = load_images(dataset("celeba", size=32), "train")
        assert found.images.shape == (6, 3, 32, 32)
        assert found.images[0].float().mean(dim=(1, 2)).tolist() == [0, 0, 255]
    assert Faces.opened == 6


# --- what all share ---------------------------------------------------------------------------------------------------


def test_only_the_first_images() -> None:
    found = dataset("tiny", train_images=10, test_images=3)
    train, test = load_images(found, "train"), load_images(found, "test")
    assert (len(train), len(test)) == (10, 3)
    assert train.labels is not None
    assert len(train.labels) == 10


def test_dynamic_binarisation_draws_anew_with_the_intensity_as_probability() -> None:
    images = torch.full((2000, 1, 2, 2), 64, dtype=torch.uint8)
    with isolated_randomness(0, torch.device("cpu")):
        first, second = (as_float(images, dataset("tiny", binarization="dynamic")) for _ in range(2))
    assert set(first.unique().tolist()) == {0, 1}
    assert first.mean().item() == pytest.approx(64 / 255, abs=0.02)
    assert not torch.equal(first, second)
    plain = as_float(images, dataset("tiny"))
    assert plain.unique().item() == pytest.approx(64 / 255)


def test_isolated_randomness_leaves_the_stream_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with isolated_randomness(9, torch.device("cpu")):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    assert not torch.equal(inside, expected)


def test_fixed_binarisation_is_drawn_once_and_with_the_intensity_as_probability() -> None:
    plain, fixed = (load_images(dataset("tiny", binarization=kind), "train") for kind in ("none", "fixed"))
    again = load_images(dataset("tiny", binarization="fixed"), "train")
    assert torch.equal(fixed.images, again.images)
    assert set(fixed.images.unique().tolist()) == {0, 255}
    assert fixed.images.dtype == torch.uint8
    x = as_float(fixed.images, dataset("tiny", binarization="fixed"))
    assert x.mean().item() == pytest.approx(plain.images.float().mean().item() / 255, abs=0.01)
    assert torch.equal(fixed.images[plain.images == 0], torch.zeros_like(fixed.images[plain.images == 0]))
    assert bool((fixed.images[plain.images == 255] == 255).all())
    test = load_images(dataset("tiny", binarization="fixed"), "test")
    assert fixed.digest != plain.digest
    assert len(test) == len(load_images(dataset("tiny"), "test"))


def test_fixed_binarisation_draws_each_pixel_of_each_image_anew() -> None:
    grey = torch.full((5000, 1, 4, 4), 102, dtype=torch.uint8)
    drawn = binarized(grey, seed=0).float() / 255
    assert drawn.mean().item() == pytest.approx(0.4, abs=0.01)
    assert drawn.flatten(1).mean(dim=1).std() > 0.1
    assert not torch.equal(drawn[:4], drawn[4:8])
    assert not torch.equal(binarized(grey, seed=1), binarized(grey, seed=0))


# --- binary MNIST -----------------------------------------------------------------------------------------------------


@pytest.fixture
def amat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in the format of the release, of fewer images."""
    from zoo.datasets import binary_mnist

    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setattr(binary_mnist, "FILES", {"train": 5, "valid": 2, "test": 3})
    random = np.random.RandomState(0)
    folder = tmp_path / "binary_mnist"
    folder.mkdir()
    for part, n in binary_mnist.FILES.items():
        rows = [" ".join(map(str, row)) for row in random.randint(0, 2, (n, 784))]
        (folder / f"binarized_mnist_{part}.amat").write_text("\n".join(rows) + "\n")
    return folder


def test_binary_mnist_is_what_its_files_say(amat: Path) -> None:
    train, test = (load_images(dataset("binary_mnist"), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (7, 3)
    expected = np.loadtxt(amat / "binarized_mnist_valid.amat").reshape(2, 1, 28, 28)
    assert np.array_equal(train.images[5:].numpy() / 255, expected)
    assert train.labels is None
    assert len(load_images(dataset("binary_mnist", train_images=5), "train")) == 5
    assert set(as_float(test.images, dataset("binary_mnist")).unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("damage", [lambda text: text[:-40], lambda text: text.replace("1", "2", 1)])
def test_a_damaged_file_of_binary_mnist_is_noticed(amat: Path, damage: Any) -> None:
    path = amat / "binarized_mnist_test.amat"
    path.write_text(damage(path.read_text()))
    with pytest.raises(ZooError, match="damaged"):
        load_images(dataset("binary_mnist"), "test")


def test_binary_mnist_that_cannot_be_had_names_the_three_remedies(amat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", refuse)
    (amat / "binarized_mnist_test.amat").unlink()
    with pytest.raises(ZooError) as caught:
        load_images(dataset("binary_mnist"), "test")
    for remedy in ("no network", "ZOO_DATA", "--set data.name=glyphs"):
        assert remedy in str(caught.value)
