"""Training on images that stay in a file because memory is short: the same bits, and nothing copied."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import CPU, dataset, tiny_recipe
from zoo.datasets import ImageSet, load_images, split_off
from zoo.datasets._decode import decoded_folder
from zoo.inference.loops import epoch_permutation
from zoo.schema.recipe import Recipe
from zoo.system.mapped_images import MappedFile, MappedImages, plain
from zoo.training.batches import DeviceLoader, StreamingLoader
from zoo.training.trainer import Trainer

IMAGES = 48


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Image files in folders that are classes."""
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "zoo-data"))
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        folder = Path(f"images/{number % 3}")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(folder / f"{number}.png")


def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.system.mapped_images.free_memory", lambda: 1000)
    monkeypatch.setattr("zoo.training.batches.ON_DEVICE", {})  # what is in memory already would be shared


def loaded(**settings: Any) -> ImageSet:
    return load_images(dataset("image_folder", path="images", size=8, channels=1, **settings), "train")


def recipe(**data: Any) -> Recipe:
    return tiny_recipe(
        data={"name": "image_folder", "path": "images", "size": 8, "channels": 1} | data,
        training={"epochs": 3, "batch_size": 8, "validation": 0.2},
    )


def trainer(recipe: Recipe) -> Trainer:
    return Trainer(recipe, load_images(recipe.data, "train"), load_images(recipe.data, "test"), CPU)


def trained(found: Trainer) -> Trainer:
    while not found.done:
        found.run_epoch()
    return found


def bits(found: Trainer) -> list[bytes]:
    return [part.numpy().tobytes() for part in found.model.state_dict().values()]


def test_subsets_of_images_in_a_file_read_none(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = loaded()
    with monkeypatch.context() as nothing_is_read:
        nothing_is_read.delattr(MappedFile, "read")
        some = everything.chosen(torch.tensor([5, 3, 4]))
        rest, held_out = split_off(everything, 0.25)
        part = loaded(only_classes=(0, 2), train_images=20)
    assert held_out
    for found in (some, rest, held_out, part):
        assert isinstance(found.images, MappedImages)
    for found in (some, rest, held_out):
        assert found.images.file is everything.images.file  # type: ignore[union-attr]
    assert (len(some), len(part)) == (3, 20)
    assert len(rest) + len(held_out) == len(everything)
    in_memory = ImageSet(plain(everything.images).clone(), everything.labels)
    for found, other in zip((rest, held_out), split_off(in_memory, 0.25), strict=True):
        assert other and not isinstance(other.images, MappedImages)
        assert torch.equal(plain(found.images), other.images)
        assert found.digest == other.digest


def test_fixed_binarisation_goes_to_a_file_that_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = loaded(binarization="fixed")
    assert not isinstance(in_memory.images, MappedImages)
    short_of_memory(monkeypatch)
    in_file = loaded(binarization="fixed")
    assert isinstance(in_file.images, MappedImages)
    assert torch.equal(plain(in_file.images), in_memory.images)
    assert in_file.digest == in_memory.digest


def test_a_cached_set_is_read_once_and_known_by_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    first = loaded()
    expected = ImageSet(plain(first.images).clone()).digest
    assert first.digest == expected
    again = loaded()
    monkeypatch.setattr("zoo.datasets._base.digest_of", None)
    assert again.digest == expected


def test_a_cache_of_an_earlier_version_is_checked_and_taken_over() -> None:
    expected = loaded().digest
    (index,) = decoded_folder().glob("folder-*.json")
    pixels = index.with_suffix(".uint8")
    record = json.loads(index.read_text())
    assert record.pop("digest") == expected
    older = record | {"sha256": hashlib.sha256(pixels.read_bytes()).hexdigest()}
    index.write_text(json.dumps(older))
    before = pixels.stat().st_mtime_ns
    assert loaded().digest == expected
    assert pixels.stat().st_mtime_ns == before
    assert json.loads(index.read_text())["digest"] == expected
    index.write_text(json.dumps(older))
    damaged = bytearray(pixels.read_bytes())
    damaged[7] ^= 1
    pixels.write_bytes(damaged)
    assert loaded().digest == expected  # decoded anew
    assert pixels.read_bytes() != damaged


@pytest.mark.parametrize("data", [{}, {"only_classes": [0, 1]}, {"binarization": "fixed"}])
def test_a_run_has_the_same_bits_wherever_its_images_are(data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = trained(trainer(recipe(**data)))
    assert isinstance(in_memory.loader, DeviceLoader)
    assert not isinstance(in_memory.train_set.images, MappedImages)
    short_of_memory(monkeypatch)
    beyond = trainer(recipe(**data))
    assert isinstance(beyond.loader, StreamingLoader)
    assert isinstance(beyond.train_set.images, MappedImages)
    assert bits(trained(beyond)) == bits(in_memory)
    assert [row["test"] for row in beyond.history] == [row["test"] for row in in_memory.history]
    assert [row["validation"] for row in beyond.history] == [row["validation"] for row in in_memory.history]


def test_a_resumed_run_beyond_memory_ends_with_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_memory(monkeypatch)
    whole = trained(trainer(recipe()))
    stopped = trainer(recipe())
    stopped.run_epoch()
    stopped.run_epoch(lambda _: stopped.step % stopped.steps_per_epoch == 2)
    assert stopped.step % stopped.steps_per_epoch == 2
    resumed = trainer(recipe())
    resumed.restore(stopped.state())
    assert bits(trained(resumed)) == bits(whole)


def test_every_epoch_is_shuffled_over_the_whole_file(monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_memory(monkeypatch)
    found = trainer(recipe())
    read: list[list[int]] = []
    images = found.train_set.images
    assert isinstance(images, MappedImages)
    monkeypatch.setattr(
        MappedFile, "announce", lambda self, numbers: read.append(numbers.tolist()) if self is images.file else None
    )
    for epoch in range(2):
        found.loader.start(found.order() if not epoch else epoch_permutation(len(images), 0, 1), 0)
        read.clear()
        for _ in found.sizes:
            found.loader.next()
        order = epoch_permutation(len(images), found.recipe.training.seed, epoch)
        assert sum(read, []) == images.numbers[order].tolist()
        assert sorted(sum(read, [])) == images.numbers.tolist()
