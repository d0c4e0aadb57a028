"""Text in figures: drawn as it is, whatever is in it, and whatever the user has set up matplotlib to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import matplotlib
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.helpers import python
from zoo import plotting
from zoo.plotting.canvas import literal
from zoo.plotting.tradeoff import Point, tradeoff

HOSTILE = "$\\frac{$ [/b] 5 $ and 6 $ \x1b[31m\u202e\udce4 a\\$b_"
DRAWN = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e").replace("\udce4", "\\xe4")
IMAGES = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
HISTORY = [{"epoch": epoch, "train": {"loss": 2.0}, "test": {"loss": 3.0}} for epoch in range(1, 31)]
POINTS = [Point(HOSTILE, 1, 2), Point("other", 10, 4)]

FIGURES: dict[str, Callable[[], Figure]] = {
    "comparison": lambda: plotting.comparison(IMAGES, [plotting.ComparisonRow(HOSTILE, IMAGES, IMAGES)], HOSTILE),
    "labelled_rows": lambda: plotting.labelled_rows([(HOSTILE, IMAGES)], HOSTILE),
    "loss_curves": lambda: plotting.loss_curves(HISTORY, HOSTILE),
    "pairs": lambda: plotting.pairs(IMAGES, IMAGES, [HOSTILE, "_"]),
    "scatter": lambda: plotting.scatter(torch.rand(2, 2), torch.tensor([0, 1]), [f"_{HOSTILE}", HOSTILE], HOSTILE),
    "seed_curves": lambda: plotting.seed_curves([HISTORY, HISTORY], HOSTILE),
    "side_by_side": lambda: plotting.side_by_side({HOSTILE: plotting.sample_grid(IMAGES)}),
    "titled": lambda: plotting.titled(IMAGES, [HOSTILE, ""]),
    "tradeoff": lambda: tradeoff({HOSTILE: POINTS}, HOSTILE, HOSTILE, logarithmic=True),
}
"""A figure of every function that takes text."""

TEXTLESS = {"codebook_use", "manifold_map", "progress_gif", "progress_strip", "reconstruction_grid", "sample_grid"}


def test_every_function_that_draws_is_here() -> None:
    functions = {name for name in plotting.__all__ if name.islower() and name != "to_png"}
    assert functions == (set(FIGURES) | TEXTLESS) - {"tradeoff"}


@pytest.mark.parametrize("name", FIGURES)
def test_text_is_drawn_as_it_is(name: str) -> None:
    figure = FIGURES[name]()
    plotting.to_png(figure)
    drawn = [text._preprocess_math(text.get_text()) for text in figure.findobj(Text)]  # type: ignore[attr-defined]
    assert any(DRAWN in shown.replace("\n", " ") and not formula for shown, formula in drawn)  # long units are wrapped
    assert not any(formula and "frac" in shown for shown, formula in drawn)


def test_a_literal_is_what_matplotlib_shows() -> None:
    for text in ("a$b", "$x$", "\\$", "a\\$b$c$", "$$$"):
        shown = Text(text=literal(text))._preprocess_math(literal(text))  # type: ignore[attr-defined]
        assert shown == (text, False)


OTHERS = {
    "font.size": 30, "axes.facecolor": "red", "text.usetex": True, "savefig.dpi": 20, "figure.facecolor": "black",
    "lines.linewidth": 9, "text.parse_math": False, "axes.grid": True, "figure.autolayout": True, "font.family": "none",
    "axes.formatter.use_locale": True, "image.cmap": "hot", "path.simplify": False, "text.color": "green",
}  # fmt: skip
"""What a user may have set: another look, and LaTeX, which may not be installed."""


@pytest.mark.parametrize("name", [*FIGURES])
def test_the_users_settings_change_nothing(name: str) -> None:
    torch.manual_seed(0)
    expected = plotting.to_png(FIGURES[name]())
    torch.manual_seed(0)
    with matplotlib.rc_context(OTHERS):
        assert plotting.to_png(FIGURES[name]()) == expected
        assert matplotlib.rcParams["font.size"] == 30  # and they are left as they were
    assert matplotlib.rcParams["font.size"] != 30


@pytest.mark.slow
def test_a_file_of_settings_changes_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, torch\nfrom pathlib import Path\nfrom zoo import plotting\n"
        "images = torch.linspace(0, 1, 128).reshape(2, 1, 8, 8)\n"
        "Path(sys.argv[1]).write_bytes(plotting.to_png(plotting.labelled_rows([('a', images)], 'note')))"
    )
    lines = "\n".join(f"{name}: {value}".replace("#", "") for name, value in OTHERS.items())
    (tmp_path / "matplotlibrc").write_text(f"{lines}\nno.such.name: 3\naxes.facecolor: nonsense\n")
    done = python("-c", code, tmp_path / "theirs.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    images = torch.linspace(0, 1, 128).reshape(2, 1, 8, 8)
    ours = plotting.to_png(plotting.labelled_rows([("a", images)], "note"))
    assert (tmp_path / "theirs.png").read_bytes() == ours


@pytest.mark.parametrize(("variable", "value"), [("MPLBACKEND", "nonsense"), ("MATPLOTLIBRC", "rc")])
def test_settings_that_matplotlib_refuses_are_one_line(variable: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "rc").write_bytes(b"font.family: \xff\n")
    done = python("-m", "zoo", "compare", "ae_mnist", "--out", tmp_path / "x.png", cwd=tmp_path, **{variable: value})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "MPLBACKEND" in done.stderr and "matplotlibrc" in done.stderr
    assert not os.path.exists(tmp_path / "x.png")
