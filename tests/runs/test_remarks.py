"""A sentence where a figure is out of its range, and none where it is not."""

from __future__ import annotations

import pytest

import zoo
from zoo.entries.catalog import WEIGHTS
from zoo.runs.card import write_card
from zoo.runs.folder import read_config
from zoo.runs.remarks import remarks
from zoo.schema.run_config import RunConfig


def with_figures(test: dict[str, float], train: dict[str, float]) -> RunConfig:
    config = read_config(WEIGHTS / "linear_vae_mnist")
    return config.model_copy(update={"metrics": {"train": train, "test": test}})


GOOD = {"negative_elbo": 100.0, "kl": 25.0, "mse": 0.01, "active_units": 20.0}


@pytest.mark.parametrize(
    ("test", "train", "words"),
    [
        ({"kl": 0.02}, {}, "posterior has collapsed: the KL is 0.02 nats"),
        ({"active_units": 0.0}, {}, "posterior has collapsed"),
        ({"perplexity": 1.3}, {}, "codebook is hardly used: its perplexity is 1.3"),
        ({"negative_elbo": 115.0}, {}, "overfitted: its \N{MINUS SIGN}ELBO is 115 on test images and 100 on training"),
        ({"mse": 0.03}, {}, "overfitted: its MSE is 0.03 on test images and 0.01 on training"),
    ],
)
def test_a_figure_out_of_its_range_is_said(test: dict[str, float], train: dict[str, float], words: str) -> None:
    config = with_figures(GOOD | test, GOOD | train)
    (sentence,) = remarks(config)
    assert words in sentence
    assert sentence in write_card(config)


def test_nothing_is_said_of_usual_figures_and_of_the_models_that_are_shipped() -> None:
    assert remarks(with_figures(GOOD, GOOD)) == []
    assert remarks(with_figures({"mse": 0.011}, {"mse": 0.01})) == []
    for name in zoo.list_models(weights=True):
        assert remarks(read_config(WEIGHTS / name)) == [], name
