"""Questions to a session: what views answer, and what is refused."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.errors import ZooError
from zoo.explorer import Session
from zoo.explorer._view import png, sheet


def pixels(address: str) -> np.ndarray:
    """Return the pixels of a data address."""
    kind, content = address.split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.fixture(scope="module")
def session(tiny_run: Callable[[str], Path]) -> Session:
    return Session([str(tiny_run(variant)) for variant in ("vae", "conditional_vae", "vq_vae")])


def test_a_sheet_holds_every_image_in_its_cell() -> None:
    images = torch.rand(7, 3, 4, 5)
    answer = sheet(images, 3)
    assert (answer["count"], answer["columns"], answer["height"], answer["width"]) == (7, 3, 4, 5)
    shown = pixels(answer["png"])
    for number, image in enumerate(images):
        row, column = divmod(number, 3)
        cell = shown[4 * row : 4 * row + 4, 5 * column : 5 * column + 5]
        assert np.array_equal(cell, (image * 255).round().byte().permute(1, 2, 0).numpy())


def test_the_image_of_a_point_is_that_of_its_code(session: Session) -> None:
    opened = session.model("vae")
    answer = session.ask("map", {"model": "vae", "axes": [0, 1], "at": [0.5, -1.0]})
    z = torch.tensor([answer["z"]])
    assert answer["z"][:2] == [0.5, -1.0]
    expected = pixels(png(opened.decode(z)[0])).astype(int)
    assert abs(pixels(answer["png"]) - expected).max() <= 1  # z is rounded


def test_points_are_the_codes_of_the_test_images(session: Session) -> None:
    answer = session.ask("map", {"model": "vae", "axes": [1, 0]})
    codes = session.encoded("vae").codes
    assert answer["axes"] == ("z2", "z1")
    assert np.allclose(np.array(answer["points"]).reshape(-1, 2), codes[:, [1, 0]].numpy(), atol=1e-4)
    assert answer["labels"] == session.model("vae").test.labels.tolist()  # type: ignore[union-attr]


def test_a_model_with_a_codebook_has_no_map_and_says_why(session: Session) -> None:
    assert "between two vectors" in str(session.ask("fits", {"model": "vq_vae"})["views"]["map"])
    with pytest.raises(ZooError, match="between two vectors"):
        session.ask("map", {"model": "vq_vae"})


@pytest.mark.parametrize(
    ("view", "parameters", "words"),
    [
        ("mop", {}, "did you mean 'map'"),
        ("map", {"model": "vea"}, "did you mean 'vae'"),
        ("map", {"model": "../../etc"}, "unknown model"),
        ("map", {"model": "vae", "at": [float("nan"), 0]}, "finite"),
        ("map", {"model": "vae", "size": 3}, "size"),
        ("map", {}, "model"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(
    session: Session, view: str, parameters: dict[str, object], words: str
) -> None:
    with pytest.raises(ZooError, match=words):
        session.ask(view, parameters)


def test_sliders_are_sorted_by_use_which_is_the_kl_where_it_has_a_closed_form(session: Session) -> None:
    opened, encoded = session.model("vae"), session.encoded("vae")
    answer = session.ask("sliders", {"model": "vae"})
    with torch.no_grad():
        x = opened.to_float(opened.test.images)
        kl = opened.model.encode(x).kl_per_dimension(opened.model.prior)
    assert kl is not None
    assert torch.allclose(encoded.use, kl.mean(dim=0), atol=1e-5)
    assert answer["dimensions"] == kl.mean(dim=0).argsort(descending=True).tolist()
    assert answer["measure"] == "mean KL in nats"
    assert np.allclose(answer["z"], encoded.codes.mean(dim=0)[answer["dimensions"]].numpy(), atol=1e-4)


def test_a_slider_moves_its_dimension_and_no_other(session: Session) -> None:
    codes = session.encoded("vae").codes
    answer = session.ask("sliders", {"model": "vae", "image": 3, "moved": {"1": 2.5}})
    expected = codes[3].clone()
    expected[1] = 2.5
    assert np.allclose(answer["z"], expected[answer["dimensions"]].numpy(), atol=1e-4)
    assert pixels(answer["original"]).shape == (28, 28)
    strip = session.ask("sliders", {"model": "vae", "image": 3, "along": 1, "steps": 5})
    assert strip["strip"]["count"] == strip["strip"]["columns"] == 5
    assert strip["values"][0] < float(codes[:, 1].min()) + 0.1 < strip["values"][-1]


def test_a_seed_gives_the_same_code_of_the_prior(session: Session) -> None:
    first, again, other = (session.ask("sliders", {"model": "vae", "seed": seed})["z"] for seed in (7, 7, 8))
    assert first == again != other


def test_a_conditional_model_decodes_the_class_that_is_asked_for(session: Session) -> None:
    images = [
        session.ask("map", {"model": "conditional_vae", "axes": [0, 1], "at": [0, 0], "label": label})["png"]
        for label in (0, 3, 9, 400)
    ]
    assert len(set(images)) == 3  # there is no class 400: the last
    assert images[2] == images[3]


def test_a_map_without_test_images_is_one_of_the_prior_and_downloads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "nothing"))
    monkeypatch.setattr("torchvision.datasets.MNIST.download", lambda self: pytest.fail("a download"))
    session = Session(["conv_vae_2d_mnist"])
    answer = session.ask("map", {"model": "conv_vae_2d_mnist"})
    assert answer["points"] == []
    assert "There are no test images to show" in answer["note"] and "'mnist'" in answer["note"]
    low, _, high, _ = answer["square"]
    assert 2 < -low < 4 and 2 < high < 4  # N(0, 1)
    grid = session.ask("map", {"model": "conv_vae_2d_mnist", "grid": 3})["grid"]
    assert pixels(grid["png"]).shape == (84, 84)
    assert not (tmp_path / "nothing").exists()
    assert session.ask("sliders", {"model": "conv_vae_2d_mnist"})["images"] == 0


def test_a_grid_lies_as_the_map_does(session: Session) -> None:
    square = session.ask("map", {"model": "vae", "axes": [0, 1]})["square"]
    left, bottom, right, top = square
    sheet_ = session.ask("map", {"model": "vae", "axes": [0, 1], "grid": 2})["grid"]
    upper_left = [left + (right - left) / 4, top - (top - bottom) / 4]
    alone = session.ask("map", {"model": "vae", "axes": [0, 1], "at": upper_left})["png"]
    assert abs(pixels(sheet_["png"])[:28, :28].astype(int) - pixels(alone)).max() <= 1


def test_principal_components_are_those_of_the_codes(session: Session) -> None:
    codes = session.encoded("vae").codes.double()
    points = np.array(session.ask("map", {"model": "vae"})["points"]).reshape(-1, 2)
    values = torch.linalg.eigvalsh(torch.cov(codes.T)).flip(0)[:2].numpy()
    assert np.allclose(points.var(axis=0, ddof=1), values, rtol=1e-2, atol=1e-5)
    assert abs(np.corrcoef(points.T)[0, 1]) < 1e-2


def test_codes_are_kept_for_a_bounded_number_of_models(
    tiny_run: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session([str(tiny_run(variant)) for variant in ("vae", "conditional_vae")])
    monkeypatch.setattr("zoo.explorer.session.KEPT_MODELS", 1)
    first = session.encoded("vae")
    assert session.encoded("vae") is first
    session.encoded("conditional_vae")
    assert session.encoded("vae") is not first
