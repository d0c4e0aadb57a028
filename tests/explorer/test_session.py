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
    assert "nothing between" in str(session.ask("fits", {"model": "vq_vae"})["views"]["map"])
    with pytest.raises(ZooError, match="nothing between"):
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
