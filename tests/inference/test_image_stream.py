"""Streams of images: of folders whatever is in them, of datasets and some of their classes."""

from __future__ import annotations

import copy
import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import to_pil_image

import zoo
from tests.helpers import command, dataset
from zoo.datasets import ImageSet, load_images, where_labelled
from zoo.errors import ZooError
from zoo.inference.image_stream import map_images, open_images
from zoo.inference.noise import Noise
from zoo.models.autoencoder import Autoencoder
from zoo.system.image_files import Presentation
from zoo.tasks import encode, score


def test_a_folder_is_gone_through_in_batches_in_order_and_what_is_no_image_is_reported(
    model: Autoencoder, folder: Path
) -> None:
    images = open_images(folder, model)
    assert images.size == 12
    with pytest.warns(UserWarning, match="skipped 1 of 12 images:\n.*03.png: cannot identify image file"):
        batches = list(images.batches(5))
    assert [len(batch.names) for batch in batches] == [5, 4, 2]
    names = [name for batch in batches for name in batch.names]
    assert names == sorted(names)
    assert all(batch.images.shape[1:] == (1, 28, 28) and batch.images.dtype == torch.uint8 for batch in batches)


def test_no_more_than_two_batches_are_in_memory(
    model: Autoencoder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []

    def decode_or_reason(path: Path, presentation: Presentation, page: int) -> np.ndarray:
        decoded.append(path.name)
        return np.zeros(presentation.shape, np.uint8)

    monkeypatch.setattr("zoo.inference.file_stream.decode_or_reason", decode_or_reason)
    for number, _ in enumerate(open_images(folder, model).batches(3)):
        assert len(decoded) <= 3 * (number + 2)
    assert len(decoded) == 12


def test_a_datasets_split_has_names_and_labels(model: Autoencoder) -> None:
    images = open_images("glyphs/train", model)
    batch = next(images.batches(3))
    assert batch.names == ["glyphs/train/0", "glyphs/train/1", "glyphs/train/2"]
    assert batch.labels is not None
    assert open_images("glyphs", model).name == "glyphs/test"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("./nowhere", "there is no folder nowhere"),
        ("glyphs/validation", "write ./glyphs/validation for a folder, or glyphs/train or glyphs/test"),
        ("glyhps", "did you mean 'glyphs'"),
        ("cifar10", "the images of cifar10 are 3x32x32, those of the model 1x28x28"),
    ],
)
def test_images_that_are_not_there(model: Autoencoder, source: str, expected: str) -> None:
    with pytest.raises(ZooError, match=expected):
        open_images(source, model)


def test_a_folder_without_an_image_that_can_be_read(model: Autoencoder, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(ZooError, match="none of the 1 images under .* can be read"):
        list(open_images(tmp_path, model).batches(3))


def test_a_conditional_model_needs_labels(folder: Path) -> None:
    conditional = zoo.load("conditional_vae_mnist")
    with pytest.raises(ZooError, match="is conditional and needs labels: put the images .* named like its classes"):
        open_images(folder, conditional)


def test_between_two_batches_the_callers_world_is_as_it_was(model: Autoencoder) -> None:
    images = open_images("glyphs:0", model)
    expected = [part.scores["negative_elbo"] for part in score(model, images)]
    assert len(expected) > 1
    torch.manual_seed(3)
    drawn, found = [], []
    both = zip(score(model, images), score(model, images), strict=True)
    for one, other in both:
        assert torch.is_grad_enabled()
        drawn.append(torch.rand(()))
        assert torch.equal(one.scores["negative_elbo"], other.scores["negative_elbo"])
        found.append(one.scores["negative_elbo"])
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    torch.manual_seed(3)
    assert drawn == [torch.rand(()) for _ in drawn]
    next(score(model, images))
    assert torch.is_grad_enabled()


def test_names_that_no_one_would_choose(model: Autoencoder, glyphs: torch.Tensor, tmp_path: Path) -> None:
    for name in (b"a_$x_$.png", b"\xff.png", b"new\nline.png", b"carriage\rreturn.png", b'comma, quote".png'):
        to_pil_image(glyphs[0]).save(tmp_path / "plain.png")
        (tmp_path / "plain.png").rename(tmp_path / os.fsdecode(name))
    out, sheet = tmp_path / "a.csv", tmp_path.parent / "names.png"
    done = command("anomaly", "beta_vae_1_glyphs", tmp_path, "--out", out, "--sheet", sheet, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "Glyph" not in done.stderr
    assert len(list(csv.DictReader(out.open(newline="")))) == 5


def test_an_image_file_starts_no_program(model: Autoencoder, folder: Path, tmp_path: Path) -> None:
    """Pillow goes by the content and would have Ghostscript run what is in the file."""
    (folder / "00.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    (folder / "a.eps").write_bytes((folder / "00.png").read_bytes())
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "gs").chmod(0o755)
    done = command("encode", "beta_vae_1_glyphs", folder, "--out", tmp_path / "codes.npz", PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "skipped 2 of 12" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_some_classes_of_a_dataset_keep_their_places(model: Autoencoder) -> None:
    whole = load_images(dataset("glyphs"), "test")
    assert whole.labels is not None
    chosen = torch.isin(whole.labels, torch.tensor([1, 3, 4]))
    (batch,) = open_images("glyphs/test:1,3-4", model).batches(len(whole))
    assert [int(name.split("/")[2]) for name in batch.names] == chosen.nonzero().flatten().tolist()
    assert torch.equal(batch.images, whole.images[chosen])
    for source, expected in (("glyphs:x", "write classes as in glyphs:9 or glyphs:0-4,7"), ("glyphs:99", "labels")):
        with pytest.raises(ZooError, match=expected):
            open_images(source, model)


def test_what_is_found_in_an_image_is_its_own(glyphs: torch.Tensor, tmp_path: Path) -> None:
    """Whatever other images it comes with, and however noise is drawn."""
    binary = zoo.load("iwae_50_short_mnist")
    for name, images in (("many", glyphs[:20]), ("few", glyphs[3:5])):
        (tmp_path / name).mkdir()
        for number, image in enumerate(images):
            to_pil_image(image).save(tmp_path / name / f"{number:02}.png")
    many, few = (next(score(binary, open_images(tmp_path / name, binary), 5)) for name in ("many", "few"))
    for kind, values in few.scores.items():
        assert torch.allclose(values, many.scores[kind][3:5], rtol=1e-5), kind
    codes = encode(binary, open_images(tmp_path / "few", binary)).codes
    assert np.allclose(codes, encode(binary, open_images(tmp_path / "many", binary)).codes[3:5], atol=1e-5)
    assert not torch.equal(few.x[0], few.x[1])
    other = next(score(binary, open_images(tmp_path / "few", binary), 5, seed=1))
    assert not torch.allclose(other.scores["negative_elbo"], few.scores["negative_elbo"])


def test_noise_is_standard_normal_and_does_not_depend_on_how_much_is_taken() -> None:
    images = torch.randint(256, (500, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    whole, parts = Noise(images, 0), Noise(images, 0)
    drawn = whole.normal(10, 7)
    assert drawn.shape == (10, 500, 7)
    assert torch.equal(drawn, torch.cat([parts.normal(3, 7), parts.normal(7, 7)]))
    assert float(drawn.mean()) == pytest.approx(0, abs=0.03)
    assert float(drawn.var()) == pytest.approx(1, abs=0.03)
    x = torch.full((500, 1, 8, 8), 0.3)
    assert float(whole.binarized(x).mean()) == pytest.approx(0.3, abs=0.01)


def test_a_model_of_some_classes_can_be_shown_all_of_them(model: Autoencoder) -> None:
    limited = copy.deepcopy(model)
    assert model.config is not None
    recipe = {**model.config.recipe, "data": {"name": "glyphs", "only_classes": [1, 3], "test_images": 7}}
    limited.config = model.config.model_copy(update={"recipe": recipe})
    assert open_images("glyphs", limited).size == open_images("glyphs", model).size
    assert open_images("glyphs:1,3", limited).size > 7


def test_a_folder_is_binarised_for_a_model_of_binarised_images(model: Autoencoder, folder: Path) -> None:
    (folder / "deeper" / "03.png").unlink()
    drawn = copy.deepcopy(model)
    assert model.config is not None
    for kind in ("fixed", "dynamic"):
        recipe = {**model.config.recipe, "data": {"name": "glyphs", "binarization": kind}}
        drawn.config = model.config.model_copy(update={"recipe": recipe})
        for source in (folder, "glyphs"):
            batches = [
                [x for _, x in map_images(drawn, open_images(source, drawn), lambda prepared: prepared.x)] for _ in "ab"
            ]
            x, again = (torch.cat(batch) for batch in batches)
            assert set(x.unique().tolist()) == {0.0, 1.0}
            assert torch.equal(x, again)
    assert drawn.config is not None
    fixed = load_images(dataset("glyphs", binarization="fixed"), "test").images
    drawn.config = model.config.model_copy(
        update={"recipe": {**model.config.recipe, "data": {"name": "glyphs", "binarization": "fixed"}}}
    )
    _, x = next(map_images(drawn, open_images("glyphs", drawn), lambda prepared: prepared.x))
    assert torch.equal(x, fixed[: len(x)].float() / 255)


def test_only_some_classes(model: Autoencoder) -> None:
    whole, part = dataset("glyphs"), dataset("glyphs", only_classes=(1, 3), test_images=20)
    labels = load_images(part, "test").labels
    assert labels is not None
    assert len(labels) == 20
    assert set(labels.tolist()) <= {1, 3}
    assert (whole.released, part.released) == (whole.sizes, None)
    with pytest.raises(ZooError, match=r"no image has one of the labels \[99\]; there are 0, 1"):
        load_images(dataset("glyphs", only_classes=(99,)), "test")
    with pytest.raises(ZooError, match="no labels to choose by"):
        where_labelled(ImageSet(load_images(part, "test").images), (0,))
