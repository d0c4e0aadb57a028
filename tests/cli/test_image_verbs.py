"""``zoo reconstruct`` and ``zoo sample``: image files that hold what the model gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import zoo
from tests.helpers import command
from zoo.datasets import load_images
from zoo.schema.recipe import parse_data


def pixels(path: Path) -> torch.Tensor:
    """The pixels of a grey PNG file, in [0, 1]."""
    return torch.tensor(np.asarray(Image.open(path).convert("L"))).float() / 255


def test_reconstructions_are_those_of_the_model(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    glyphs = load_images(parse_data({"name": "glyphs"}, "glyphs"), "test").images[:3]
    for name, glyph in zip(("a", "b", "c"), glyphs, strict=True):
        Image.fromarray(glyph[0].numpy()).save(images / f"{name}.png")
    done = command("reconstruct", "beta_vae_1_glyphs", "./images", "--out", "out", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == ["000000-a.png", "000001-b.png", "000002-c.png"]
    model = zoo.load("beta_vae_1_glyphs")
    x = glyphs.float() / 255
    expected = model.reconstruct(x)
    found = torch.stack([pixels(path) for path in written])
    assert (found - expected[:, 0]).abs().max() <= 0.5 / 255 + 1e-6
    assert abs(json.loads(done.stdout)["mse"] - float((x - expected).square().mean())) < 1e-6
    again = command("reconstruct", "beta_vae_1_glyphs", "./images", "--out", "out", cwd=tmp_path)
    assert again.returncode == 2 and "out" in again.stderr  # the folder is not empty
    assert command("reconstruct", "beta_vae_1_glyphs", "./images", "--out", "images/x", cwd=tmp_path).returncode == 2


def test_samples_are_those_of_the_seed(tmp_path: Path) -> None:
    done = command("sample", "beta_vae_1_glyphs", "--count", "3", "--seed", "5", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == ["000000.png", "000001.png", "000002.png"]
    expected = zoo.load("beta_vae_1_glyphs").sample(3, torch.Generator().manual_seed(5))
    assert (torch.stack([pixels(path) for path in written]) - expected[:, 0]).abs().max() <= 0.5 / 255 + 1e-6


def test_samples_of_a_conditional_model_are_of_one_class_or_of_each_in_turn(tmp_path: Path) -> None:
    sample = ("sample", "conditional_vae_mnist", "--count", "11")
    assert command(*sample, "--out", "all", cwd=tmp_path).returncode == 0
    names = [path.name for path in sorted((tmp_path / "all").iterdir())]
    assert names == [f"{number:06}-class-{number % 10}.png" for number in range(11)]
    assert command(*sample, "--label", "7", "--out", "sevens", cwd=tmp_path).returncode == 0
    sevens = [pixels(path) for path in sorted((tmp_path / "sevens").iterdir())]
    labels = torch.full((11,), 7)
    expected = zoo.load("conditional_vae_mnist").sample(11, torch.Generator().manual_seed(0), labels)
    assert (torch.stack(sevens) - expected[:, 0]).abs().max() <= 0.5 / 255 + 1e-6


def test_mistakes_are_said_before_anything_is_written(tmp_path: Path) -> None:
    for arguments, words in (
        (("sample", "beta_vae_1_glyphs", "--label", "1"), "takes no --label"),
        (("sample", "conditional_vae_mnist", "--label", "10"), "choose between 0 and 9"),
        (("sample", "beta_vae_1_glyphs", "--count", "0"), "--count 0: choose between 1 and"),
        (("reconstruct", "beta_vae_1_glyphs", "./nowhere"), "there is no folder"),
    ):
        done = command(*arguments, "--out", "out", cwd=tmp_path)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
        assert not list(tmp_path.iterdir())
