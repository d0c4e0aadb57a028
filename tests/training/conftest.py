"""Fixtures of the tests that train into run folders without looking at the figures there."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs write no figures, which take most of the time of a tiny one."""
    monkeypatch.setattr("zoo.training.finish.figures_of", lambda trainer: {})


@pytest.fixture
def only_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw only the grid of samples of a run's figures, and leave the others blank."""
    for name in ("loss_curves", "reconstruction_grid"):
        monkeypatch.setattr(f"zoo.plotting.{name}", lambda *arguments: Figure((1, 1)))
