"""Answers of the views against the models that they are about."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.explorer.test_session import pixels
from tests.helpers import CPU, tiny_recipe
from zoo.errors import ZooError
from zoo.explorer import Session
from zoo.explorer.views.interpolation import suitable_path
from zoo.figures._latent_arithmetic import interpolate
from zoo.runs.folder import read_snapshots
from zoo.runs.unfinished import PARTIAL
from zoo.tasks import score
from zoo.training import train

VARIANTS = ("vae", "conditional_vae", "vq_vae")


@pytest.fixture(scope="module")
def session(tiny_run: Callable[[str], Path]) -> Session:
    return Session([str(tiny_run(variant)) for variant in VARIANTS])


def as_file(array: np.ndarray, format: str = "png") -> str:
    """Return the content of an image file as base64."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format)
    return base64.b64encode(buffer.getvalue()).decode()


def as_bytes(images: torch.Tensor) -> np.ndarray:
    """Return images (..., 1, H, W) in [0, 1] as the pixels of a PNG file."""
    return (images * 255).round().byte().squeeze().numpy()


def cells(sheet: dict[str, Any]) -> list[np.ndarray]:
    """Return the images of a sheet."""
    whole, height, width = pixels(sheet["png"]), sheet["height"], sheet["width"]
    places = (divmod(number, sheet["columns"]) for number in range(sheet["count"]))
    return [whole[height * row : height * (row + 1), width * column : width * (column + 1)] for row, column in places]


def drawing() -> np.ndarray:
    """Return a bright square on dark ground, uint8 (28, 28)."""
    image = np.zeros((28, 28), dtype=np.uint8)
    image[8:20, 8:20] = 200
    return image


def test_compare_gives_each_model_the_scores_and_the_reconstruction_that_it_has(session: Session) -> None:
    answer = session.ask("compare", {"models": list(VARIANTS), "number": 17})
    for result, name in zip(answer["models"], VARIANTS, strict=True):
        model, test = session.model(name).model, session.model(name).test
        image, label = test.images[17:18], test.labels[17:18]  # type: ignore[index]
        assert np.array_equal(pixels(result["seen"]), image.squeeze().numpy())
        expected = model.reconstruct(image / 255, label if model.classes else None)
        assert np.array_equal(pixels(result["reconstruction"]), as_bytes(expected))
        if not model.classes:
            scored = next(score(model, image)).scores  # type: ignore[arg-type]  # a tensor is taken, too
            every = {key: torch.cat([part.scores[key] for part in score(model, test.images)]) for key in scored}  # type: ignore[arg-type]
            texts = {one["name"]: (float(one["text"]), one["above"]) for one in result["scores"]}
            for key, value in scored.items():
                assert texts[key][0] == pytest.approx(float(value), abs=0.006)
                assert texts[key][1] == pytest.approx(float((every[key] < value).float().mean()))
    assert answer["models"][1]["class"] == "7" and not answer["models"][1]["chosen"]
    assert answer["alike"] == list(VARIANTS)


def test_a_drawing_reaches_the_model_as_it_is(session: Session) -> None:
    coloured = np.repeat(drawing()[..., None], 3, axis=2)  # as a page's canvas writes it
    answer = session.ask("compare", {"models": ["vae", "vq_vae"], "file": as_file(coloured), "drawn": True})
    for result in answer["models"]:
        assert np.array_equal(pixels(result["seen"]), drawing()) and not result["steps"]


def test_the_class_of_a_drawing_is_the_likeliest(session: Session) -> None:
    parameters = {"models": ["conditional_vae"], "file": as_file(drawing()), "drawn": True}
    chosen = session.ask("compare", parameters)["models"][0]
    each = [session.ask("compare", parameters | {"label": label})["models"][0] for label in range(10)]
    elbos = [float(one["scores"][1]["text"]) for one in each]
    assert chosen["chosen"] and int(chosen["class"]) == int(np.argmin(elbos))
    assert len(set(elbos)) > 1


@pytest.mark.parametrize(("invert", "inverted"), [(None, True), (False, False), (True, True)])
def test_an_image_file_is_made_like_the_images_of_the_model_and_says_how(
    tmp_path: Path, tiny_run: Callable[[str], Path], invert: bool | None, inverted: bool
) -> None:
    session = Session(["beta_vae_1_glyphs"])  # on dark ground
    bright = np.full((56, 112, 3), 255, dtype=np.uint8)
    bright[20:36, 50:62] = (200, 30, 30)
    answer = session.ask("compare", {"models": ["beta_vae_1_glyphs"], "file": as_file(bright), "invert": invert})
    seen, steps = pixels(answer["models"][0]["seen"]), ", ".join(answer["models"][0]["steps"])
    assert (seen[0, 0] == 0) == inverted == answer["models"][0]["inverted"]
    assert "cut to its central part" in steps and "from 112 × 56 to 28 × 28" in steps and "made grey" in steps
    assert ("inverted" in steps) == inverted
    assert ("because its background is bright" in steps) == (invert is None)


def test_a_model_of_another_shape_gets_the_image_fitted_and_says_so(tmp_path: Path) -> None:
    folder = train(tiny_recipe(data={"name": "tiny", "side": 20, "channels": 3}), tmp_path / "small", CPU)
    session = Session([str(folder), "beta_vae_1_glyphs"])
    answers = session.ask("compare", {"models": ["small", "beta_vae_1_glyphs"], "number": 3})["models"]
    assert pixels(answers[0]["seen"]).shape == (20, 20, 3) and not answers[0]["steps"]
    assert pixels(answers[1]["seen"]).shape == (28, 28)
    assert answers[1]["steps"] == ["resized from 20 × 20 to 28 × 28", "made grey"]
    assert answers[0]["words"] == "20 × 20, in colour"


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n").decode(), "no image that can be read"),
        (base64.b64encode(b"\x80\x04K\x01.").decode(), "no image that can be read"),
        (as_file(np.random.RandomState(0).randint(0, 256, (28, 28), np.uint8))[:400], "no image that can be read"),
        ("###", "did not arrive whole"),
        ("A" * (4 * (20 * 2**20 // 3 + 2)), "20 MiB"),
    ],
)
def test_what_is_no_image_file_is_refused_with_a_sentence(session: Session, file: str, words: str) -> None:
    with pytest.raises(ZooError, match=words) as error:
        session.ask("compare", {"models": ["vae"], "file": file})
    assert "\n" not in str(error.value)


def test_test_images_are_listed_by_class(session: Session) -> None:
    answer = session.ask("images", {"model": "vae", "label": 4, "offset": 2, "count": 3})
    assert answer["numbers"] == [24, 34, 44] and answer["labels"] == [4, 4, 4] and answer["total"] == 7
    test = session.model("vae").test
    assert all(np.array_equal(cell, test.images[24 + 10 * i, 0]) for i, cell in enumerate(cells(answer["sheet"])))
    assert session.ask("images", {"model": "vae", "offset": 70})["sheet"] is None
    with pytest.raises(ZooError, match="there is no test image 70; the last is 69"):
        session.ask("compare", {"models": ["vae"], "number": 70})


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_an_interpolation_goes_from_code_to_code_along_its_path(session: Session, path: str) -> None:
    parameters = {"model": "vae", "first": 5, "last": 9, "path": path, "steps": 5}
    answer = session.ask("interpolation", parameters)
    opened = session.model("vae")
    with torch.no_grad():
        codes = opened.model.encode(opened.test.images[[5, 9]] / 255).mean
        expected = as_bytes(opened.decode(interpolate(*codes, 5, path == "spherical")))
    assert np.array_equal(np.stack(cells(answer["frames"])), expected)
    assert [pixels(image).tolist() for image in answer["originals"]] == opened.test.images[[5, 9], 0].tolist()


def test_the_path_suits_the_codes() -> None:
    session = Session(["conv_vae_mnist", "conv_vae_2d_mnist", "ae_mnist", "vq_vae_fashion_mnist"])
    paths = {name: suitable_path(opened.model)[0] for name, opened in session.models.items()}
    others = dict.fromkeys(["conv_vae_2d_mnist", "ae_mnist", "vq_vae_fashion_mnist"], "linear")
    assert paths == {"conv_vae_mnist": "spherical", **others}


def test_samples_are_the_models_own_and_a_temperature_of_0_gives_the_mean(session: Session) -> None:
    opened = session.model("vae")
    answer = session.ask("samples", {"model": "vae", "count": 6, "seed": 3})
    own = opened.model.sample(6, torch.Generator().manual_seed(3))
    assert np.array_equal(np.stack(cells(answer["sheet"])), as_bytes(own))
    cold = cells(session.ask("samples", {"model": "vae", "count": 6, "temperature": 0})["sheet"])
    middle = as_bytes(opened.decode(torch.zeros(1, opened.model.prior.latent_dim)))
    assert all(np.array_equal(cell, middle) for cell in cold)


def test_samples_of_a_class_come_from_its_label_or_from_the_gaussian_of_its_codes(session: Session) -> None:
    labelled = session.ask("samples", {"model": "conditional_vae", "count": 3, "label": 8, "seed": 1})
    model = session.model("conditional_vae").model
    own = model.sample(3, torch.Generator().manual_seed(1), torch.full((3,), 8))
    assert np.array_equal(np.stack(cells(labelled["sheet"])), as_bytes(own))

    answer = session.ask("samples", {"model": "vae", "count": 2, "label": 4, "temperature": 0})
    opened = session.model("vae")
    of_class = opened.test.labels == 4
    with torch.no_grad():
        posterior: Any = opened.model.encode(opened.test.images[of_class] / 255)
    mean = as_bytes(opened.decode(posterior.mean.mean(dim=0, keepdim=True))).astype(int)
    noise = float(posterior.logvar.exp().max().sqrt())  # the codes were drawn, not taken at the mean
    assert abs(cells(answer["sheet"])[0].astype(int) - mean).max() <= 255 * noise
    assert "class 4" in answer["source"]

    quantised = session.ask("samples", {"model": "vq_vae"})
    assert not quantised["classes"] and "Gaussian" in quantised["no_temperature"]
    with pytest.raises(ZooError, match="the classes are 0, 1"):
        session.ask("samples", {"model": "vae", "label": 11})


def test_a_vector_that_is_put_into_a_code_changes_its_place(session: Session) -> None:
    before = session.ask("codebook", {"model": "vq_vae", "number": 2})
    assert before["changed"] == before["reconstruction"]
    own, other = before["indices"][9], (before["indices"][9] + 1) % 16
    same = session.ask("codebook", {"model": "vq_vae", "number": 2, "put": {"9": own}})
    assert same["changed"] == before["reconstruction"]
    after = session.ask("codebook", {"model": "vq_vae", "number": 2, "put": {"9": other}})
    assert after["indices"] == [*before["indices"][:9], other, *before["indices"][10:]]
    opened = session.model("vq_vae")
    indices = torch.tensor(after["indices"]).reshape(1, after["rows"], after["columns"])
    expected = as_bytes(opened.decode(opened.model.prior.decode_indices(indices)))
    assert np.array_equal(pixels(after["changed"]), expected)
    assert after["changed"] != after["reconstruction"] == before["reconstruction"]


def test_the_codebook_counts_how_often_its_vectors_are_used(session: Session) -> None:
    answer = session.ask("codebook", {"model": "vq_vae"})
    opened = session.model("vq_vae")
    with torch.no_grad():
        posterior: Any = opened.model.encode(opened.test.images / 255)
    counts = posterior.indices.flatten().bincount(minlength=16)
    assert answer["use"] == pytest.approx((counts / counts.sum()).tolist())
    assert answer["images"] == 70 and answer["vectors"]["count"] == 16
    with pytest.raises(ZooError, match="places"):
        session.ask("codebook", {"model": "vq_vae", "number": 0, "put": {"9": 16}})
    with pytest.raises(ZooError, match="no codebook"):
        session.ask("codebook", {"model": "vae", "number": 0})


def test_a_training_is_followed_while_it_goes_on_and_after_its_end(trained: Path, tmp_path: Path) -> None:
    partial, finished = tmp_path / f"mine{PARTIAL}", tmp_path / "mine"
    partial.mkdir()
    for name in ("checkpoint.safetensors", "snapshots.safetensors"):
        shutil.copy(trained / name, partial)
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    session = Session([str(partial)])
    assert session.ask("fits", {"model": partial.name})["views"]["training"] is None
    first = session.ask("training", {"model": partial.name})
    assert (first["finished"], first["epoch"], first["epochs"], first["curves"]) == (False, 0, 2, None)

    (partial / "metrics.jsonl").write_text(json.dumps(rows[0]) + "\n")
    second = session.ask("training", {"model": partial.name, "snapshots": len(first["snapshots"]["epochs"])})
    assert second["curves"]["values"]["test"]["loss"] == pytest.approx([rows[0]["test"]["loss"]], rel=1e-5)
    assert second["snapshots"] is None and second["no_snapshots"] is None

    shutil.copytree(trained, finished)
    shutil.rmtree(partial)
    last = session.ask("training", {"model": partial.name})
    assert last["finished"] and last["curves"]["epochs"] == [1, 2]
    assert session.ask("fits", {"model": partial.name})["views"]["samples"] is None
    kept = read_snapshots(finished)
    shown = cells(last["snapshots"]["sheet"])
    assert last["snapshots"]["epochs"] == kept.epochs
    assert np.array_equal(shown[10 + 3], as_bytes(kept.reconstructions[0, 3]))
    assert np.array_equal(shown[3], as_bytes(kept.originals[3]))

    shutil.rmtree(finished)
    with pytest.raises(ZooError, match="is gone"):
        session.ask("training", {"model": partial.name})


def test_the_table_of_models_has_the_figures_of_their_cards(session: Session) -> None:
    answer = session.ask("models")
    rows = {row["name"]: row for row in answer["rows"]}
    config = session.model("vae").trained.config
    assert rows["vae"]["open"] and rows["vae"]["variant"] == "vae" and rows["vae"]["kind"] == "tiny"
    assert rows["vae"]["values"]["mse"] == config.metrics["test"]["mse"]
    assert not rows["conv_vae_mnist"]["open"] and rows["conv_vae_mnist"]["loadable"]
    assert rows["conv_vae_mnist"]["texts"]["negative_elbo"] == "96.92"
    headings = {column["name"]: column for column in answer["columns"]}
    assert headings["mse"]["better"] == "lower" and headings["mse"]["main"] and "pixel" in headings["mse"]["means"]
