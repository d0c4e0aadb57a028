"""The embedded dataset: the same bits everywhere, and images that show their factors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from tests.helpers import dataset
from zoo.datasets import ImageSet, glyphs, load_images


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
    first = load_images(dataset("glyphs"), "test")
    assert first.images.shape == (50, 1, 28, 28)
    assert first.labels is not None
    assert torch.equal(first.labels, first.factors["label"])
    assert set(first.factors) == {"label", "face", *glyphs.RANGES}
    (path,) = (tmp_path / "glyphs").iterdir()
    monkeypatch.setattr(glyphs, "render", lambda factors: pytest.fail("the cache was not used"))
    assert load_images(dataset("glyphs"), "test").digest == first.digest
    monkeypatch.undo()
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setattr(glyphs, "TRAIN", 200)
    monkeypatch.setattr(glyphs, "TEST", 50)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[-100] ^= 1
    for damaged in (content[:999], bytes(flipped), save({"other": np.zeros(3)}), b""):
        path.write_bytes(damaged)
        assert load_images(dataset("glyphs"), "test").digest == first.digest


def test_the_default_glyphs_have_sixty_and_ten_thousand_images() -> None:
    train, test = (load_images(dataset("glyphs"), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.labels is not None
    assert torch.bincount(train.labels).min() > 5_000
