"""What a user's dataset returns is what its settings declare, or is refused in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest
import torch

import zoo
from tests.helpers import tiny_recipe, trainer
from zoo.datasets import ImageSet, as_float, load_images
from zoo.errors import ZooError
from zoo.registry import DATASETS
from zoo.schema import DatasetConfig

PIXELS = torch.zeros(20, 1, 16, 16, dtype=torch.uint8)


class ReturnedConfig(DatasetConfig):
    """Whatever a test returns."""

    name: Literal["returned"] = "returned"
    SHAPE = (1, 16, 16)


@pytest.fixture
def returning() -> Iterator[Callable[[Any], DatasetConfig]]:
    """Registers a dataset whose loader returns a value."""

    def register(value: Any) -> DatasetConfig:
        zoo.register_dataset(config=ReturnedConfig)(lambda config, split: value)
        return ReturnedConfig()

    yield register
    DATASETS._registered.pop("returned", None)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (ImageSet(PIXELS.float()), r"images must be uint8 \(N, 1, 16, 16\); its loader returned float32 \(20, "),
        (ImageSet(PIXELS.bool()), r"images must be uint8 .* returned bool \(20, 1, 16, 16\)"),
        (ImageSet(PIXELS[:, 0]), r"images must be uint8 .* returned uint8 \(20, 16, 16\)"),
        (ImageSet(PIXELS[..., :12]), r"images must be uint8 .* returned uint8 \(20, 1, 16, 12\)"),
        (ImageSet(PIXELS.permute(0, 2, 3, 1)), r"images must be uint8 .* returned uint8 \(20, 16, 16, 1\)"),
        (ImageSet(PIXELS.numpy()), r"images must be uint8 .*, in a tensor; its loader returned numpy.ndarray"),  # type: ignore[arg-type]
        (ImageSet(PIXELS[:0]), "expected images; its loader returned none"),
        (PIXELS, "expected a zoo.datasets.ImageSet; its loader returned uint8"),
        ((PIXELS, None), "expected a zoo.datasets.ImageSet; its loader returned tuple"),
        (None, "expected a zoo.datasets.ImageSet; its loader returned NoneType"),
        (ImageSet(PIXELS, torch.zeros(19, dtype=torch.int64)), r"labels must be whole .*20,.* int64 \(19,\)"),
        (ImageSet(PIXELS, torch.zeros(20)), r"labels must be whole numbers \(20,\) .* returned float32 \(20,\)"),
        (ImageSet(PIXELS, torch.eye(20).long()), r"labels must be whole numbers \(20,\) .* returned int64 \(20, 20\)"),
        (ImageSet(PIXELS, np.zeros(20, np.int64)), "labels must be whole numbers .* returned numpy.ndarray"),  # type: ignore[arg-type]
        (ImageSet(PIXELS, [0] * 20), "labels must be whole numbers .* returned list"),  # type: ignore[arg-type]
        (ImageSet(PIXELS, torch.full((20,), -1)), "labels must be whole numbers .* returned -1 among them"),
        (ImageSet(PIXELS, None, {"size": torch.zeros(3)}), r"the factor 'size' must be a tensor \(20,\)"),
    ],
)  # fmt: skip
def test_other_values_are_refused_in_one_line(
    value: Any, words: str, returning: Callable[[Any], DatasetConfig]
) -> None:
    with pytest.raises(ZooError, match=r"^the dataset 'returned', train split: [^\n]*$") as error:
        load_images(returning(value), "train")
    assert re.search(words, str(error.value))


def test_a_declared_number_is_the_number(
    returning: Callable[[Any], DatasetConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReturnedConfig, "SIZES", (20, 5))
    config = returning(ImageSet(PIXELS))
    assert len(load_images(config, "train")) == 20
    with pytest.raises(ZooError, match="test split: expected 5 images, as declared; its loader returned 20"):
        load_images(config, "test")


def test_labels_of_few_bits_are_taken(returning: Callable[[Any], DatasetConfig]) -> None:
    labels = load_images(returning(ImageSet(PIXELS, torch.ones(20, dtype=torch.uint8))), "train").labels
    assert labels is not None
    assert labels.dtype is torch.int64
    assert labels.tolist() == [1] * 20


def test_images_are_never_divided_in_place(returning: Callable[[Any], DatasetConfig]) -> None:
    images = torch.full((3, 1, 2, 2), 255.0)
    assert as_float(images, ReturnedConfig()).max() == 1
    assert images.min() == 255
    assert trainer(tiny_recipe()).train_set.images.dtype is torch.uint8
