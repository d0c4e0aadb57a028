"""What people use an autoencoder for: streams of pictures, anomaly scores, imputation, compression, features."""

from __future__ import annotations

import csv
import json
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_pil_image

import zoo
from tests.conftest import PLUGIN, command, dataset, needs_fashion_mnist, needs_mnist
from zoo.autoencoder import Autoencoder
from zoo.data import ImageSet, load_images, of_classes
from zoo.errors import UnknownNameError, ZooError
from zoo.files import sha256
from zoo.metrics.nll import log_likelihood
from zoo.pictures import open_pictures, through
from zoo.tasks.anomaly import Strangest, detection, score
from zoo.tasks.compression import MAGIC, compress, decompress, unpack
from zoo.tasks.encoding import encode, write_codes
from zoo.tasks.imputation import boxed, dropped, impute


@pytest.fixture(scope="module")
def model() -> Autoencoder:
    return zoo.load("beta_vae_1_glyphs")


@pytest.fixture(scope="module")
def glyphs(model: Autoencoder) -> torch.Tensor:
    """uint8 (200, 1, 28, 28)."""
    assert model.config is not None
    return load_images(model.config.checked_recipe.data, "test").images[:200]


@pytest.fixture
def folder(glyphs: torch.Tensor, tmp_path: Path) -> Path:
    """Twelve pictures, some in a subfolder, of several sizes and modes, one of them damaged."""
    root = tmp_path / "pictures"
    (root / "deeper").mkdir(parents=True)
    for number, image in enumerate(glyphs[:12]):
        picture = to_pil_image(image).resize((28 + number, 28 + number))
        (picture.convert("RGB") if number % 3 else picture).save(
            root / ("deeper" if number % 2 else "") / f"{number:02}.png"
        )
    (root / "deeper" / "03.png").write_bytes(b"no picture")
    return root


# --- streams


def test_a_folder_is_gone_through_in_batches_in_order_and_what_is_no_picture_is_told(
    model: Autoencoder, folder: Path
) -> None:
    pictures = open_pictures(folder, model)
    assert pictures.size == 12
    with pytest.warns(UserWarning, match="skipped 1 of 12 pictures:\n.*03.png: cannot identify image file"):
        batches = list(pictures.batches(5))
    assert [len(batch.names) for batch in batches] == [5, 4, 2]
    names = [name for batch in batches for name in batch.names]
    assert names == sorted(names)
    assert all(batch.images.shape[1:] == (1, 28, 28) and batch.images.dtype == torch.uint8 for batch in batches)


def test_no_more_than_two_batches_are_in_memory(
    model: Autoencoder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def decode(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
        begun.append(path.name)
        return np.zeros(shape, np.uint8)

    monkeypatch.setattr("zoo.pictures.decode", decode)
    for number, _ in enumerate(open_pictures(folder, model).batches(3)):
        assert len(begun) <= 3 * (number + 2)
    assert len(begun) == 12


def test_a_datasets_split_has_names_and_labels(model: Autoencoder) -> None:
    pictures = open_pictures("glyphs/train", model)
    batch = next(pictures.batches(3))
    assert batch.names == ["glyphs/train/0", "glyphs/train/1", "glyphs/train/2"]
    assert batch.labels is not None
    assert open_pictures("glyphs", model).name == "glyphs/test"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("./nowhere", "there is no folder nowhere"),
        ("glyphs/validation", "write ./glyphs/validation for a folder, or glyphs/train or glyphs/test"),
        ("glyhps", "did you mean 'glyphs'"),
        ("cifar10", "the images of cifar10 are 3x32x32, those of the model 1x28x28"),
    ],
)
def test_pictures_that_are_not_there(model: Autoencoder, source: str, expected: str) -> None:
    with pytest.raises(ZooError, match=expected):
        open_pictures(source, model)


def test_a_folder_without_a_picture_that_can_be_read(model: Autoencoder, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(ZooError, match="none of the 1 pictures under .* can be read"):
        list(open_pictures(tmp_path, model).batches(3))


def test_a_conditional_model_needs_labels(folder: Path) -> None:
    conditional = zoo.load("conditional_vae_mnist")
    with pytest.raises(ZooError, match="conditional: give it the images' labels"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        list(through(conditional, open_pictures(folder, conditional), lambda seen: None))


def test_between_two_batches_the_callers_world_is_as_it_was(model: Autoencoder) -> None:
    pictures = open_pictures("glyphs", model)
    expected = [part.scores["negative_elbo"] for part in score(model, pictures)]
    torch.manual_seed(3)
    drawn, found = [], []
    both = zip(score(model, pictures), score(model, pictures), strict=True)
    for one, other in both:
        assert torch.is_grad_enabled()
        drawn.append(torch.rand(()))
        assert torch.equal(one.scores["negative_elbo"], other.scores["negative_elbo"])
        found.append(one.scores["negative_elbo"])
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    torch.manual_seed(3)
    assert drawn == [torch.rand(()) for _ in drawn]
    next(score(model, pictures))
    assert torch.is_grad_enabled()


def test_names_that_no_one_would_choose(model: Autoencoder, glyphs: torch.Tensor, tmp_path: Path) -> None:
    for name in (b"a_$x_$.png", b"\xff.png", b"new\nline.png"):
        to_pil_image(glyphs[0]).save(tmp_path / "plain.png")
        (tmp_path / "plain.png").rename(tmp_path / os.fsdecode(name))
    done = command("zoo.anomaly", "beta_vae_1_glyphs", tmp_path, "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list(csv.DictReader((tmp_path / "anomaly.csv").open(newline="")))) == 3


def test_only_some_classes(model: Autoencoder) -> None:
    whole, part = dataset("glyphs"), dataset("glyphs", only_classes=(1, 3), test_images=20)
    labels = load_images(part, "test").labels
    assert labels is not None
    assert len(labels) == 20
    assert set(labels.tolist()) <= {1, 3}
    assert (whole.released, part.released) == (whole.sizes, None)
    with pytest.raises(ZooError, match=r"no image has one of the labels \[99\]; there are 0, 1"):
        load_images(dataset("glyphs", only_classes=(99,)), "test")
    with pytest.raises(ZooError, match="data.only_classes: the dataset has no classes"):
        of_classes(ImageSet(load_images(part, "test").images), (0,))


# --- anomaly scores


def test_scores_are_those_of_the_metrics_one_by_one(model: Autoencoder, glyphs: torch.Tensor) -> None:
    scored = next(score(model, open_pictures("glyphs", model), samples=3))
    x = glyphs.float() / 255
    assert torch.allclose(scored.scores["mse"][:200], (model.reconstruct(x) - x).square().mean((1, 2, 3)), atol=1e-6)
    assert set(scored.scores) == {"mse", "negative_elbo", "nll_3"}
    assert float(scored.scores["negative_elbo"].mean()) == pytest.approx(96.3, abs=1)
    assert model.config is not None
    mean = torch.cat([part.scores["negative_elbo"] for part in score(model, open_pictures("glyphs", model))]).mean()
    assert float(mean) == pytest.approx(model.config.metrics["test"]["negative_elbo"], rel=2e-3)
    with torch.no_grad():
        many = -log_likelihood(model, x[:20], 200)
    assert float((scored.scores["negative_elbo"][:20] - many).mean()) > 0  # a bound


def test_a_plain_autoencoder_has_no_likelihood() -> None:
    plain = zoo.load("ae_mnist")
    pictures = open_pictures("glyphs", plain)
    assert set(next(score(plain, pictures)).scores) == {"mse"}
    with pytest.raises(ZooError, match="a deterministic code has no likelihood"):
        next(score(plain, pictures, samples=2))


def test_the_strangest_are_kept_and_no_others(model: Autoencoder) -> None:
    strangest = Strangest("mse", 7)
    values: list[float] = []
    for scored in score(model, open_pictures("glyphs", model)):
        strangest.add(scored)
        values += scored.scores["mse"].tolist()
    found = strangest.found()
    assert found.values == sorted(values, reverse=True)[:7]
    assert found.names[0] == f"glyphs/test/{int(np.argmax(values))}"
    with pytest.raises(UnknownNameError, match="did you mean 'mse'"):
        Strangest("mes", 3).add(scored)


def test_detection_of_known_cases() -> None:
    assert detection([0, 1, 2], [3, 4]) == {"auroc": 1.0, "average_precision": 1.0}
    assert detection([3, 4], [0, 1])["auroc"] == 0.0
    assert detection([0, 1, 2, 3], [0, 1, 2, 3])["auroc"] == 0.5


def test_the_command_writes_scores_and_sheet(folder: Path, tmp_path: Path) -> None:
    out, sheet = tmp_path / "scores.csv", tmp_path / "sheet.png"
    done = command(
        "zoo.anomaly", "beta_vae_1_glyphs", folder, "--samples", 2, "--by", "nll_2", "--out", out, "--sheet", sheet,
        "--against", "glyphs", "--device", "cpu", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 11
    assert set(rows[0]) == {"path", "mse", "negative_elbo", "nll_2"}
    assert Path(rows[0]["path"]).is_file()
    assert Image.open(sheet).size[0] > 300
    found = json.loads(done.stdout)
    assert found["pictures"] == 11
    assert 0 <= found["detection"]["mse"]["auroc"] <= 1


@needs_mnist
@needs_fashion_mnist
def test_clothes_are_strange_to_a_model_of_digits_and_a_blank_picture_is_not() -> None:
    """The known weakness: what is simple gets a high likelihood, however strange."""
    vae = zoo.load("linear_vae_mnist")

    def scores(source: str) -> list[float]:
        return [v for part in score(vae, open_pictures(source, vae)) for v in part.scores["negative_elbo"].tolist()]

    digits, clothes = scores("mnist"), scores("fashion_mnist")
    assert detection(digits, clothes)["auroc"] > 0.99
    blank = torch.zeros(1, 1, 28, 28)
    with torch.no_grad():
        posterior = vae.encode(blank)
        value = float(posterior.kl() - vae.decode(posterior.mean).log_prob(blank))
    assert detection(digits, [value])["auroc"] < 0.01


# --- imputation


def test_observed_pixels_stay_and_missing_ones_come_closer(model: Autoencoder, glyphs: torch.Tensor) -> None:
    x = glyphs.float() / 255
    observed = dropped(tuple(x.shape), 0.5, torch.Generator().manual_seed(0))
    missing = ~observed.expand(x.shape)
    assert float(missing.float().mean()) == pytest.approx(0.5, abs=0.01)
    filled = impute(model, torch.where(missing, torch.rand_like(x), x), observed)
    assert torch.equal(filled[~missing], x[~missing])
    assert filled.min() >= 0
    assert filled.max() <= 1
    mean = x.mean(dim=(1, 2, 3), keepdim=True).expand(x.shape)
    assert (filled - x)[missing].square().mean() < 0.5 * (mean - x)[missing].square().mean()


def test_nothing_missing_and_everything_missing(model: Autoencoder, glyphs: torch.Tensor) -> None:
    x = glyphs[:3].float() / 255
    assert torch.equal(impute(model, x, torch.ones(28, 28, dtype=torch.bool)), x)
    assert impute(model, x, torch.zeros(28, 28, dtype=torch.bool)).isfinite().all()
    with pytest.raises(ZooError, match="does not fit images"):
        impute(model, x, torch.ones(3, 3, dtype=torch.bool))


def test_a_box(model: Autoencoder) -> None:
    observed = boxed((5, 1, 28, 28), 2, 3, 10, 20)
    assert int((~observed).sum()) == 200
    assert not observed[2:12, 3:23].any()
    with pytest.raises(ZooError, match=r"a box of 10x20 at \(20, 3\) is not inside an image of 28x28"):
        boxed((5, 1, 28, 28), 20, 3, 10, 20)


@pytest.mark.parametrize("how", [("--drop", "0.5"), ("--box", "7,7,14,14"), ("--mask", "mask.png")])
def test_the_command_fills_and_draws(folder: Path, tmp_path: Path, how: tuple[str, str]) -> None:
    mask = np.full((40, 40), 255, np.uint8)
    mask[:20] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    done = command(
        "zoo.impute", "beta_vae_1_glyphs", folder, *how, "--out", "filled", "--json", "--device", "cpu", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert 0 < found["mse"] < 0.3
    assert found["pictures"] == 11
    assert len(list((tmp_path / "filled").iterdir())) == 11
    assert Image.open(tmp_path / "imputed.png").size[0] > 300


# --- compression


@pytest.mark.parametrize("name", ["beta_vae_1_glyphs", "ae_mnist", "vq_vae_fashion_mnist", "conditional_vae_mnist"])
def test_codes_come_back_and_decode_to_the_same_images(name: str) -> None:
    model = zoo.load(name)
    pictures = open_pictures("glyphs", model)
    found = compress(model, pictures)
    images = torch.cat(list(decompress(found.content, model)))
    x = torch.cat([batch.images for batch in pictures.batches(1000)]).float() / 255
    assert images.shape == x.shape
    assert float((images - x).square().mean()) == pytest.approx(found.mse, rel=1e-4)
    assert found.bits_per_image == 8 * len(found.content) / len(x)
    header, _ = unpack(found.content)
    assert (header.entry, header.images) == (name, len(x))


def test_a_smaller_step_costs_more_bits_and_less_error(model: Autoencoder) -> None:
    pictures = open_pictures("glyphs", model)
    found = [compress(model, pictures, step) for step in (2.0, 1.0, 0.5, 0.25)]
    bits, errors = [one.bits_per_image for one in found], [one.mse for one in found]
    assert bits == sorted(bits)
    assert errors == sorted(errors, reverse=True)
    # Within a few per cent of the entropy of the rounded codes, were the dimensions independent.
    codes = np.round(encode(model, pictures).codes / 0.25).astype(int)
    entropy = 0.0
    for dimension in codes.T:
        share = np.unique(dimension, return_counts=True)[1] / len(dimension)
        entropy -= float((share * np.log2(share)).sum())
    assert bits[-1] < 1.2 * entropy + 8 * 1000 / len(codes)


def test_other_weights_and_damaged_and_foreign_files_are_refused(model: Autoencoder) -> None:
    content = compress(model, open_pictures("glyphs", model), 1.0).content
    with pytest.raises(ZooError, match="made with the weights .* of beta_vae_1_glyphs; those of beta_vae_4_glyphs"):
        next(decompress(content, zoo.load("beta_vae_4_glyphs")))
    for damaged in (content[:-1], content[:100], content[:200] + b"x" + content[201:], content + b"x"):
        with pytest.raises(ZooError, match="damaged or not whole"):
            unpack(damaged)
    for foreign in (b"", b"\x89PNG\r\n\x1a\n" + b"x" * 100, b"PK\x03\x04" * 20):
        with pytest.raises(ZooError, match="no file of compressed images"):
            unpack(foreign)
    with pytest.raises(ZooError, match="version 02 of the format; this zoo reads version 01"):
        unpack(MAGIC[:3] + b"\x02" + content[4:])
    with pytest.raises(ZooError, match="too small for these codes"):
        compress(model, open_pictures("glyphs", model), 1e-9)


def test_the_commands_there_and_back(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "codes.aez"
    done = command("zoo.compress", "beta_vae_1_glyphs", folder, "--out", file, "--json", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 11
    done = command("zoo.decompress", file, "--out", tmp_path / "back", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [f"{n:02}.png" for n in range(11)]
    for arguments, expected in (
        ((folder / "00.png", "--out", tmp_path / "x"), "00.png: this is no file of compressed images"),
        ((file, "--out", tmp_path / "back"), "is there already and not empty"),
        ((file, "--out", tmp_path / "x", "--model", "ae_mnist"), "would decode it to something else"),
        ((tmp_path / "none", "--out", tmp_path / "x"), "there is no file"),
    ):
        done = command("zoo.decompress", *arguments)
        assert done.returncode == 2
        assert re.search(expected, done.stderr), done.stderr


# --- features


def test_codes_of_a_folder_as_npz_and_safetensors(model: Autoencoder, folder: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="skipped 1"):
        found = encode(model, open_pictures(folder, model))
    assert found.codes.shape == (11, model.prior.latent_dim)
    assert found.labels is None
    write_codes(found, tmp_path / "codes.npz")
    stored = np.load(tmp_path / "codes.npz")  # pickles are not allowed by default
    assert np.array_equal(stored["codes"], found.codes)
    assert stored["names"].tolist() == found.names
    done = command("zoo.encode", "beta_vae_1_glyphs", "glyphs", "--out", tmp_path / "codes.safetensors")
    assert done.returncode == 0, done.stderr
    from safetensors import safe_open
    from safetensors.numpy import load_file

    tensors = load_file(tmp_path / "codes.safetensors")
    assert set(tensors) == {"codes", "labels"}
    with safe_open(tmp_path / "codes.safetensors", "np") as file:
        names = json.loads(file.metadata()["names"])
    assert len(names) == len(tensors["codes"])
    assert names[0] == "glyphs/test/0"


def test_headers_that_lie(model: Autoencoder) -> None:
    """With the right sha256: whoever writes a file can make that."""
    content = compress(model, open_pictures("glyphs", model), 1.0).content
    header, body = unpack(content)
    fields = header.model_dump(mode="json")
    lies: list[dict[str, object]] = [
        {"images": 2**31}, {"images": 0}, {"image_shape": [1, 2, 3]}, {"labels": [5]}, {"entry": "../x"},
        {"code": {**fields["code"], "means": []}}, {"code": {**fields["code"], "means": [1e300] * 10}},
        {"code": {**fields["code"], "deviations": [0] * 10}}, {"code": {**fields["code"], "step": 1e300}},
        {"code": {**fields["code"], "lowest": 9, "highest": 3}}, {"code": {**fields["code"], "grid": [2**20, 2**20]}},
        {"code": {"kind": "indices", "grid": [2**20, 2**20], "counts": [0]}}, {"code": {"kind": "x"}}, {"more": 1},
    ]  # fmt: skip
    for lie in lies:
        text = json.dumps({**fields, **lie}).encode()
        forged = MAGIC + len(text).to_bytes(4, "little") + text + body
        with pytest.raises(ZooError):
            list(decompress(forged + bytes.fromhex(sha256(forged)), model))


def test_pictures_are_never_overwritten(folder: Path, tmp_path: Path) -> None:
    done = command("zoo.impute", "beta_vae_1_glyphs", folder, "--drop", "0.5", "--out", folder, cwd=tmp_path)
    assert done.returncode == 2
    assert "is there already and not empty" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("zoo.anomaly", "ae_mnist", "glyphs", "--out", "x.txt"), "expected the name of a .csv or .json file"),
        (("zoo.anomaly", "ae_mnist", "glyphs", "--by", "negative_elbo"), "unknown score 'negative_elbo'"),
        (("zoo.impute", "ae_mnist", "glyphs", "--drop", "2"), "choose a probability between 0 and 1"),
        (("zoo.impute", "ae_mnist", "glyphs", "--box", "1,2"), "expected four whole numbers"),
        (("zoo.impute", "ae_mnist", "glyphs", "--mask", "none.png"), "--mask none.png: .*No such file"),
        (("zoo.compress", "ae_mnist", "glyphs", "--out", "x.zip"), "expected the name of a .aez file"),
        (("zoo.compress", "ae_mnist", "glyphs", "--out", "x.aez", "--step", "0"), "choose a number above zero"),
        (("zoo.encode", "ae_mnits", "glyphs", "--out", "x.npz"), "did you mean 'ae_mnist'"),
        (("zoo.export", "ae_mnits"), "did you mean 'ae_mnist'"),
    ],
)
def test_mistakes_end_with_a_word_and_code_2(arguments: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    done = command(*arguments, "--import", PLUGIN, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert re.search(expected, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
