"""What people use an autoencoder for: anomaly scores, imputation, features; and mistakes at every command."""

from __future__ import annotations

import copy
import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms.functional import to_pil_image

import zoo
from tests.helpers import PLUGIN, SHIPPED_VARIANTS, command, needs_fashion_mnist, needs_mnist
from zoo.cli.impute import read_mask
from zoo.errors import UnknownNameError, ZooError
from zoo.inference.image_stream import open_images
from zoo.models.autoencoder import Autoencoder
from zoo.models.bounds import log_likelihood
from zoo.tasks.anomaly import HighestScores, Scored, detection, score
from zoo.tasks.depths import at_depth, depths
from zoo.tasks.features import encode, write_codes
from zoo.tasks.imputation import boxed, dropped, impute

# --- anomaly scores


@pytest.fixture(scope="module")
def scored_glyphs(model: Autoencoder) -> list[Scored]:
    """The scores of the 10,000 test images, batch by batch."""
    return list(score(model, open_images("glyphs", model)))


def test_scores_are_those_of_the_metrics_one_by_one(
    model: Autoencoder, glyphs: torch.Tensor, scored_glyphs: list[Scored]
) -> None:
    scored = next(score(model, open_images("glyphs", model), samples=3))
    x = glyphs.float() / 255
    assert torch.allclose(scored.scores["mse"][:200], (model.reconstruct(x) - x).square().mean((1, 2, 3)), atol=1e-6)
    assert set(scored.scores) == {"mse", "negative_elbo", "nll_3"}
    assert float(scored.scores["negative_elbo"].mean()) == pytest.approx(96.3, abs=1)
    assert model.config is not None
    mean = torch.cat([part.scores["negative_elbo"] for part in scored_glyphs]).mean()
    assert float(mean) == pytest.approx(model.config.metrics["test"]["negative_elbo"], rel=2e-3)
    with torch.no_grad():
        many = -log_likelihood(model, x[:20], 200)
    assert float((scored.scores["negative_elbo"][:20] - many).mean()) > 0  # a bound


def test_a_plain_autoencoder_has_no_likelihood() -> None:
    plain = zoo.load("ae_mnist")
    images = open_images("glyphs", plain)
    assert set(next(score(plain, images)).scores) == {"mse"}
    with pytest.raises(ZooError, match="a deterministic code has no likelihood"):
        next(score(plain, images, samples=2))


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_which_scores_a_variant_has(variant: str, tiny_run: Callable[[str], Path]) -> None:
    tiny = zoo.load(tiny_run(variant))
    images = open_images("tiny", tiny)
    (scored,) = score(tiny, images)
    x = torch.cat([batch.images for batch in images.batches(100)]).float() / 255
    given = tiny.given(scored.batch.labels)
    assert torch.equal(scored.x, x)
    assert torch.allclose(scored.scores["mse"], (given.reconstruct(x) - x).square().mean((1, 2, 3)), atol=1e-6)
    if given.encode(x).stochastic:
        assert set(scored.scores) == {"mse", "negative_elbo"}
        (more,) = score(tiny, images, samples=2)
        assert set(more.scores) == {"mse", "negative_elbo", "nll_2"}
        assert torch.equal(more.scores["negative_elbo"], scored.scores["negative_elbo"])
        assert more.scores["nll_2"].isfinite().all()
    else:
        assert set(scored.scores) == {"mse"}
        with pytest.raises(ZooError, match="a deterministic code has no likelihood"):
            next(score(tiny, images, samples=2))


def test_the_strangest_are_kept_and_no_others(scored_glyphs: list[Scored]) -> None:
    strangest = HighestScores("mse", 7)
    values: list[float] = []
    for scored in scored_glyphs:
        strangest.add(scored)
        values += scored.scores["mse"].tolist()
    found = strangest.ranked()
    assert found.values == sorted(values, reverse=True)[:7]
    assert found.names[0] == f"glyphs/test/{int(np.argmax(values))}"
    with pytest.raises(UnknownNameError, match="did you mean 'mse'"):
        HighestScores("mes", 3).add(scored)


def test_a_model_that_has_diverged_is_told(model: Autoencoder) -> None:
    broken = copy.deepcopy(model)
    next(broken.parameters()).data.fill_(torch.nan)
    with pytest.raises(ZooError, match="the mse of glyphs/test/0 is not finite"):
        next(score(broken, open_images("glyphs", broken)))


def test_detection_of_known_cases() -> None:
    assert detection([0, 1, 2], [3, 4]) == {"auroc": 1.0, "average_precision": 1.0}
    assert detection([3, 4], [0, 1])["auroc"] == 0.0
    assert detection([0, 1, 2, 3], [0, 1, 2, 3])["auroc"] == 0.5


def test_the_command_writes_scores_and_sheet(folder: Path, tmp_path: Path) -> None:
    out, sheet = tmp_path / "scores.csv", tmp_path / "sheet.png"
    done = command(
        "anomaly", "beta_vae_1_glyphs", folder, "--samples", 2, "--by", "nll_2", "--out", out, "--sheet", sheet,
        "--against", "glyphs:3", "--device", "cpu", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 11
    assert set(rows[0]) == {"path", "mse", "negative_elbo", "nll_2"}
    assert Path(rows[0]["path"]).is_file()
    assert Image.open(sheet).size[0] > 300
    found = json.loads(done.stdout)
    assert found["images"] == 11
    with Path(out).open(newline="") as file:
        mse = [float(row["mse"]) for row in csv.DictReader(file)]
    vae = zoo.load("beta_vae_1_glyphs")
    others = [value for part in score(vae, open_images("glyphs:3", vae)) for value in part.scores["mse"].tolist()]
    assert found["detection"]["mse"]["auroc"] == pytest.approx(detection(mse, others)["auroc"], abs=1e-6)


@needs_mnist
@needs_fashion_mnist
def test_clothes_are_strange_to_a_model_of_digits_and_a_blank_image_is_not() -> None:
    """The known weakness: what is simple gets a high likelihood, however strange."""
    vae = zoo.load("linear_vae_mnist")

    def scores(source: str) -> list[float]:
        return [v for part in score(vae, open_images(source, vae)) for v in part.scores["negative_elbo"].tolist()]

    digits, clothes = scores("mnist"), scores("fashion_mnist")
    assert detection(digits, clothes)["auroc"] > 0.99
    blank = torch.zeros(1, 1, 28, 28)
    with torch.no_grad():
        posterior = vae.encode(blank)
        value = float(posterior.kl_per_dimension(vae.prior).sum(dim=1) - vae.decode(posterior.mean).log_prob(blank))
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


def test_what_is_missing_may_be_nan(model: Autoencoder, glyphs: torch.Tensor) -> None:
    x = glyphs[:3].float() / 255
    observed = dropped(tuple(x.shape), 0.5, torch.Generator().manual_seed(0))
    marked = torch.where(observed, x, torch.nan)
    assert torch.equal(impute(model, marked, observed), impute(model, x, observed))


def test_a_model_that_can_be_told_what_it_sees_is_told(glyphs: torch.Tensor) -> None:
    masked, x = zoo.load("masked_ae_mnist"), glyphs[:6].float() / 255
    observed = boxed((28, 28), 4, 4, 12, 12)
    filled = impute(masked, torch.where(observed, x, torch.nan), observed)
    with torch.no_grad():
        seen = masked.decode(masked.encode_visible(x, observed.expand(6, 1, 28, 28).float()).mean).mean  # type: ignore[operator]
        blind = masked.reconstruct(torch.where(observed, x, 0.5))
    torch.testing.assert_close(filled, torch.where(observed, x, seen))
    errors = [(each - x)[:, :, 4:16, 4:16].square().mean() for each in (filled, blind)]
    assert errors[0] < errors[1]


def test_a_code_that_is_not_finite_is_named(glyphs: torch.Tensor) -> None:
    broken = copy.deepcopy(zoo.load("beta_vae_1_glyphs"))
    with torch.no_grad():
        next(broken.encoder.parameters()).fill_(3e38)
    with pytest.raises(ZooError, match="its code is not finite; the weights may be damaged"):
        encode(broken, open_images("glyphs", broken))


def test_scores_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ZooError, match="give some of both"):
        detection([], [1.0])
    with pytest.raises(ZooError, match="a score is NaN"):
        detection([1.0, math.nan], [1.0])
    with pytest.raises(ZooError, match="must be above 0; got 0"):
        HighestScores("mse", 0)


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
        "impute", "beta_vae_1_glyphs", folder, *how, "--out", "filled", "--json", "--device", "cpu", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert 0 < found["mse"] < 0.3
    assert found["images"] == 11
    assert len(list((tmp_path / "filled").iterdir())) == 11
    assert Image.open(tmp_path / "imputed.png").size[0] > 300


@pytest.mark.parametrize(("fit", "missing"), [("stretch", 1 / 6), ("crop", 1 / 2), ("pad", 1 / 18)])
def test_a_mask_is_presented_as_the_images_are(model: Autoencoder, tmp_path: Path, fit: str, missing: float) -> None:
    mask = np.full((28, 84), 255, np.uint8)
    mask[:, 28:42] = 0  # a half of the middle third
    Image.fromarray(mask).save(tmp_path / "mask.png")
    config = model.config
    assert config
    folder = {"name": "image_folder", "path": str(tmp_path), "size": 28, "channels": 1, "fit": fit}
    model.config = config.model_copy(update={"recipe": {**config.recipe, "data": folder}})
    try:
        observed = read_mask(tmp_path / "mask.png", model)
    finally:
        model.config = config
    assert float((~observed).float().mean()) == pytest.approx(missing, abs=0.02)


# --- features


def test_codes_of_a_folder_as_npz_and_safetensors(model: Autoencoder, folder: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="skipped 1"):
        found = encode(model, open_images(folder, model))
    assert found.codes.shape == (11, model.prior.latent_dim)
    assert found.labels is None
    write_codes(found, tmp_path / "codes.npz")
    stored = np.load(tmp_path / "codes.npz")  # pickles are not allowed by default
    assert np.array_equal(stored["codes"], found.codes)
    assert stored["names"].tolist() == found.names
    done = command("encode", "beta_vae_1_glyphs", "glyphs", "--out", tmp_path / "codes.safetensors")
    assert done.returncode == 0, done.stderr
    from safetensors import safe_open
    from safetensors.numpy import load_file

    tensors = load_file(tmp_path / "codes.safetensors")
    assert set(tensors) == {"codes", "labels"}
    with safe_open(tmp_path / "codes.safetensors", "np") as file:
        names = json.loads(file.metadata()["names"])
    assert len(names) == len(tensors["codes"])
    assert names[0] == "glyphs/test/0"


# --- mistakes


def test_image_files_are_never_overwritten_nor_joined_by_others(folder: Path, tmp_path: Path) -> None:
    before = sorted(folder.rglob("*"))
    impute = ("impute", "beta_vae_1_glyphs", folder, "--drop", "0.5")
    for arguments, expected in (
        ((*impute, "--out", folder), "is there already and not empty"),
        ((*impute, "--out", folder / "filled"), "is among the images of"),
        ((*impute, "--strip", folder / "00.png"), "is among the images of"),
        (
            ("anomaly", "beta_vae_1_glyphs", folder, "--sheet", folder / "deeper" / "s.png"),
            "is among the images of",
        ),
    ):
        done = command(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert expected in done.stderr
    assert sorted(folder.rglob("*")) == before


def test_filled_images_of_any_name_or_none_at_all(glyphs: torch.Tensor, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    to_pil_image(glyphs[0]).save(tmp_path / "in" / ("\N{CJK UNIFIED IDEOGRAPH-6F22}" * 80 + ".png"))
    impute = ("impute", "beta_vae_1_glyphs", "./in", "--out", "out", "--device", "cpu", "--drop")
    done = command(*impute, "0.0000000001", cwd=tmp_path)
    assert done.returncode == 2
    assert "no pixel was missing" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    done = command(*impute, "0.5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("anomaly", "ae_mnist", "glyphs", "--out", "x.txt"), "expected the name of a .csv or .json file"),
        (("anomaly", "ae_mnist", "glyphs", "--by", "negative_elbo"), "unknown score 'negative_elbo'"),
        (("impute", "ae_mnist", "glyphs", "--drop", "2"), "choose a probability between 0 and 1"),
        (("impute", "ae_mnist", "glyphs", "--box", "1,2"), "expected four whole numbers"),
        (("impute", "ae_mnist", "glyphs", "--mask", "none.png"), "--mask none.png: there is no such file"),
        (("compress", "ae_mnist", "glyphs", "--out", "x.zip"), "expected the name of a .aez file"),
        (("compress", "ae_mnist", "glyphs", "--out", "x.aez", "--step", "0"), "choose between 1e-06 and 1,000,000"),
        (("encode", "ae_mnits", "glyphs", "--out", "x.npz"), "did you mean 'ae_mnist'"),
        (("export", "ae_mnits"), "did you mean 'ae_mnist'"),
        (("encode", "ae_mnist", "./" + "A" * 300, "--out", "x.npz"), "name too long"),
        (
            ("encode", "ae_mnist", "glyphs", "--out", "A" * 300 + "/x.npz"),
            "name too long|in a folder",
        ),
        (("decompress", "A" * 300, "--out", "x"), "name too long"),
        (("decompress", "x.aez", "--out", "."), "cannot become a folder"),
        (("anomaly", "conditional_vae_mnist", "./x"), "there is no folder x"),
    ],
)
def test_mistakes_end_with_a_word_and_code_2(arguments: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    done = command(*arguments, "--import", PLUGIN, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert re.search(expected, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_features_of_a_depth_are_the_means_of_that_layers_maps() -> None:
    network = {"name": "conv", "channels": [4, 8], "hidden": [6]}
    model = zoo.create_model("vae", image_shape=(1, 16, 16), latent_dim=4, classes=2, network=network).eval()
    images, labels = torch.rand(5, 1, 16, 16), torch.tensor([0, 1, 0, 1, 1])
    condition = nn.functional.one_hot(labels, 2)[:, :, None, None].float()
    h = torch.cat([images, condition.expand(-1, -1, 16, 16)], dim=1)
    expected = []
    for layer in list(model.encoder)[:-1]:  # type: ignore[call-overload]
        h = layer(h)
        expected += [h.flatten(2).mean(dim=2) if h.dim() > 2 else h] if isinstance(layer, nn.ReLU) else []
    assert [features.shape[1] for features in expected] == [4, 8, 6]
    given = model.given(labels)
    for depth, features in enumerate(expected, 1):
        assert torch.allclose(at_depth(model, depth, lambda: given.encode(images)), features)
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ZooError, match="no features of depth 4; the encoder has 1 ReLU, 2 ReLU, 3 ReLU"):
        at_depth(model, 4, lambda: given.encode(images))


def test_the_features_of_a_depth_of_many_images(model: Autoencoder, tmp_path: Path) -> None:
    images = open_images("glyphs", model)
    layer = depths(model)[0]
    found = encode(model, images, depth=1)
    with torch.no_grad():
        x = next(iter(images.batches(7))).images.float() / 255
        expected = model.encoder[: list(model.encoder).index(layer) + 1](x).mean((2, 3))  # type: ignore[index, call-overload]
    assert np.allclose(found.codes[:7], expected, atol=1e-5)
    done = command("encode", "beta_vae_1_glyphs", "glyphs:3", "--depth", 1, "--out", tmp_path / "f.npz")
    assert f" features of depth 1, of {found.codes.shape[1]} dimensions" in done.stdout, done.stderr
    assert command("encode", "beta_vae_1_glyphs", "glyphs:3", "--depth", 7, "--out", tmp_path / "g.npz").returncode == 2
