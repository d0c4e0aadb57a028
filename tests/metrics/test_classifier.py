"""The classifiers in whose features samples are compared: trained on what they say, loaded strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tests.helpers import CPU, PLUGIN, command, dataset, needs_fashion_mnist, needs_mnist
from zoo.datasets import ImageSet, fashion_mnist, load_images, mnist
from zoo.errors import NotApplicable, ZooError
from zoo.metrics._classifier import (
    accuracy,
    classifier_of,
    features_of,
    fit_classifier,
    load_classifier,
)
from zoo.models.classifier import CLASSIFIERS, FEATURES


def about(path: Path) -> dict[str, object]:
    with safe_open(path, framework="pt") as file:
        found: dict[str, object] = json.loads(file.metadata()["about"])
    return found


@pytest.mark.parametrize(
    ("name", "least"),
    [
        pytest.param("mnist", 0.98, marks=needs_mnist),
        pytest.param("fashion_mnist", 0.87, marks=needs_fashion_mnist),
        ("glyphs", 0.995),
    ],
)
def test_a_shipped_classifier_is_as_good_as_its_file_says(name: str, least: float) -> None:
    stated = about(CLASSIFIERS / f"{name}.safetensors")
    test = load_images(dataset(name), "test")
    found = accuracy(classifier_of(dataset(name)), test, CPU)
    assert found == pytest.approx(stated["accuracy"], abs=0.0005)
    assert found > least


def test_the_shipped_classifiers_were_trained_on_the_released_images() -> None:
    for name, released in (("mnist", mnist.RELEASED), ("fashion_mnist", fashion_mnist.RELEASED)):
        assert about(CLASSIFIERS / f"{name}.safetensors")["train_sha256"] == released["train"]


def test_training_is_repeatable_and_learns() -> None:
    labels = torch.arange(400) % 2
    images = ImageSet((labels * 200)[:, None, None, None].expand(-1, 1, 8, 8).to(torch.uint8), labels)
    first, second = fit_classifier(images, CPU), fit_classifier(images, CPU)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert accuracy(first, images, CPU) == 1
    assert features_of(first, images.images, CPU).shape == (400, FEATURES)


def test_as_a_command(tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    done = command("classifier", "tiny", "--out", out, "--import", PLUGIN, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "classified rightly" in done.stdout
    assert about(out)["dataset"] == "tiny"
    done = command("classifier", "binary_mnst", "--device", "cpu")
    assert done.returncode == 2
    assert "binary_mnist" in done.stderr


@pytest.mark.parametrize("damage", [lambda content: content[:-20], lambda content: b"nonsense", lambda content: b""])
def test_a_damaged_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: object) -> None:
    content = (CLASSIFIERS / "glyphs.safetensors").read_bytes()
    path = tmp_path / "mine.safetensors"
    path.write_bytes(damage(content))  # type: ignore[operator]
    monkeypatch.setattr("zoo.metrics._classifier.candidate_paths", lambda dataset: [path])
    with pytest.raises(ZooError, match="train it again"):
        load_classifier("damaged", (1, 28, 28))
    path.write_bytes(content)
    with pytest.raises(NotApplicable, match="another shape"):
        load_classifier("damaged", (3, 28, 28))


def test_pictures_of_ones_own_have_none(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="no classifier"):
        classifier_of(dataset("image_folder", path=str(tmp_path), size=28))
    with pytest.raises(NotApplicable, match="`zoo classifier kmnist`"):
        classifier_of(dataset("kmnist"))
