"""The leaderboard: what the cards say, sorted by any figure."""

from __future__ import annotations

import csv
import io
import itertools
import json
from typing import Any

import pytest
from matplotlib.text import Text

from tests.helpers import ROOT, command
from zoo.entries.catalog import list_models, record_folder
from zoo.evaluation.leaderboard import best_first, kind_of_data, leaderboard_entries, show
from zoo.metrics import TOPICS, all_metrics
from zoo.plotting import to_png
from zoo.plotting.tradeoff import Point, tradeoff
from zoo.registry import METRICS
from zoo.runs.card import seed_mean_and_sd
from zoo.runs.folder import read_config
from zoo.schema.run_config import Repetition

TRAINED = [name for name in list_models() if record_folder(name)]


def table(*arguments: str) -> list[dict[str, Any]]:
    done = command("list", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_every_trained_entry_stands_in_it_with_the_figures_of_its_card() -> None:
    found = {row["entry"]: row for row in table()}
    assert sorted(found) == sorted(TRAINED)
    for name in TRAINED:
        folder = record_folder(name)
        assert folder is not None
        config = read_config(folder)
        for metric, value in config.metrics["test"].items():
            assert found[name][metric] == value
        assert found[name]["parameters"] == config.parameters


@pytest.mark.parametrize(("column", "best"), [("mse", min), ("psnr", max), ("training_seconds", min)])
def test_the_best_comes_first_and_those_without_the_figure_last(column: str, best: Any) -> None:
    values = [row[column] for row in table("--sort", column)]
    known = [value for value in values if value is not None]
    assert known[0] == best(known)
    assert known == sorted(known, reverse=best is max)
    assert values == known + [None] * (len(values) - len(known))


def test_it_says_which_rows_can_be_compared() -> None:
    words = "Figures can be compared between rows that have the same words under data."
    assert words in command("list", "--sort", "mse").stdout
    assert words not in command("list", "--data", "glyphs").stdout


def test_one_dataset() -> None:
    names = {row["entry"] for row in table("--data", "fashion_mnist")}
    assert names == {name for name in TRAINED if name.endswith("fashion_mnist")}


def test_as_a_table_and_as_csv() -> None:
    out = command("list", "--sort", "mse", "--metrics", "kl,negative_elbo").stdout
    assert "MSE per pixel" in out
    assert "conv_vae_mnist" in out
    rows = list(csv.DictReader(io.StringIO(command("list", "--csv").stdout)))
    assert {row["entry"] for row in rows} == set(TRAINED)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--sort", "msee"], "'mse'"), (["--data", "mnst"], "mnist"), (["--metrics", "elboo"], "unknown metric")],
)
def test_mistakes_end_with_a_word_and_code_2(arguments: list[str], words: str) -> None:
    done = command("list", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_likelihoods_that_cannot_be_compared_are_told_apart() -> None:
    kinds = {row.name: row.data for row in leaderboard_entries()}
    assert kinds["linear_vae_mnist"] == "mnist"
    assert kinds["vae_gaussian_mnist"] == "mnist, gaussian 1"
    assert kinds["vae_fashion_mnist"] == "fashion_mnist, gaussian 0.5"
    assert all(kind_of_data(row.config.checked_recipe) == row.data for row in leaderboard_entries())


def test_every_metric_has_its_place_in_a_table() -> None:
    topics = {name: metric.topic for name, metric in all_metrics().items()}
    assert set(topics.values()) <= set(TOPICS)
    shipped = [metric.name for name in METRICS._shipped for metric in METRICS.get(name).metrics]
    assert [name for name in shipped if topics[name] == "Other"] == []


def test_the_page_lists_every_trained_entry_and_every_metric() -> None:
    page = (ROOT / "docs" / "models.md").read_text()
    for name in TRAINED:
        assert f"`{name}`" in page
    for metric in all_metrics().values():
        assert metric.definition.replace("|", "\\|") in page


def test_the_spread_over_seeds_is_mean_and_standard_deviation() -> None:
    row = next(row for row in leaderboard_entries() if row.name == "linear_vae_mnist")
    value = row.config.metrics["test"]["kl"]
    others = [
        Repetition(
            seed=seed, metrics={"test": {"kl": value + shift}, "train": {}}, weights_sha256="", training_seconds=1,
            hardware="", versions={},
        )
        for seed, shift in ((1, 0.5), (2, -0.5))
    ]  # fmt: skip
    config = row.config.model_copy(update={"repetitions": others})
    assert seed_mean_and_sd(config, "kl") == f"{value:.2f} ± 0.50"
    assert seed_mean_and_sd(config, "mse") == ""  # not every run has it
    assert seed_mean_and_sd(config.model_copy(update={"repetitions": []}), "kl") == ""


def test_a_cell_of_what_is_not_there_is_empty() -> None:
    row = next(row for row in leaderboard_entries() if row.name == "ae_mnist")
    assert show(row, "kl") == ""
    assert best_first([row], "kl") == [row]


@pytest.mark.parametrize("settings", [{"sums": True}, {"logarithmic": True}])
def test_a_plot_has_a_panel_a_group_and_a_name_a_point(settings: dict[str, bool]) -> None:
    groups = {"one": [Point("a", 1, 100), Point("b", 20, 80), Point("c", 21, 80.1)], "two": [Point("d", 1, 2)]}
    figure = tradeoff(groups, "x", "y", **settings)
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    assert {"1  a", "2  c", "3  b", "1", "2", "3"} <= {text.get_text() for text in figure.axes[0].texts}
    assert to_png(figure).startswith(b"\x89PNG")


def test_many_entries_of_about_the_same_figures_have_numbers_apart_and_names_on_lines() -> None:
    many = [Point(f"an_entry_of_the_zoo_{number}", 20 + number / 100, 80 + (number % 5) / 100) for number in range(45)]
    figure = tradeoff({str(number): many if number < 2 else many[:3] for number in range(4)}, "x", "y")
    assert len({axes.get_position().y0 for axes in figure.axes}) == 2  # two in a row
    to_png(figure)
    axes = figure.axes[0]
    extents = {text.get_text(): Text.get_window_extent(text) for text in axes.texts}
    numbers = [extent for words, extent in extents.items() if words.isdecimal()]
    names = [extent for words, extent in extents.items() if "an_entry" in words]
    assert len(numbers) == len(names) == 45
    right = axes.get_window_extent().x1
    assert all(right < name.x0 and name.x1 < figure.bbox.x1 and name.y0 > 0 for name in names)
    tops = sorted(name.y0 for name in names)
    assert min(above - below for below, above in zip(tops, tops[1:], strict=False)) > 10 * figure.dpi / 72
    assert not any(one.overlaps(other) for one, other in itertools.combinations(numbers, 2))
