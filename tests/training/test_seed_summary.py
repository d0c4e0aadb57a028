"""Mean and standard deviation over seeds, printed and written beside the run folders."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import pytest

from tests.helpers import CPU, tiny_recipe
from zoo.plotting import seed_curves
from zoo.runs.folder import read_config
from zoo.training.run import train
from zoo.training.seed_summary import SeedSummary, spans


def test_the_summary_has_mean_and_standard_deviation_of_each_metric(tmp_path: Path) -> None:
    recipes = [tiny_recipe(training={"epochs": 1, "batch_size": 50, "seed": seed}) for seed in (0, 1, 4)]
    folders = [train(recipe, tmp_path / f"tiny_vae-seed{recipe.training.seed}", CPU) for recipe in recipes]
    page, figure = SeedSummary.read(folders).write()
    assert {page.name, figure.name} == {"tiny_vae-seeds.md", "tiny_vae-seeds.png"}
    text = page.read_text()
    assert "Seeds 0-1, 4." in text
    values = [read_config(folder).metrics["test"]["negative_elbo"] for folder in folders]
    mean, sd = map(float, re.findall(r"\| negative_elbo \| nats per image \| ([\d.]+) ± ([\d.]+) \|", text)[0])
    assert mean == pytest.approx(statistics.mean(values), abs=0.006)
    assert sd == pytest.approx(statistics.stdev(values), abs=0.006)
    assert all(f"| {folder.name} |" in text for folder in folders)


def test_a_metric_that_a_run_lacks_is_a_dash(tmp_path: Path) -> None:
    recipes = [tiny_recipe(training={"epochs": 1, "batch_size": 50, "seed": seed}) for seed in (0, 1)]
    folders = [train(recipe, tmp_path / f"tiny_vae-seed{recipe.training.seed}", CPU) for recipe in recipes]
    summary = SeedSummary.read(folders)
    del summary.configs[1].metrics["test"]["psnr"]  # it was not finite
    lines = summary.markdown("x.png").splitlines()
    place = next(line for line in lines if line.startswith("| run |")).split(" | ").index("psnr")
    cells = [line.split(" | ")[place] for line in lines if line.startswith("| tiny_vae-seed")]
    assert cells[0] != "-" and cells[1] == "-"


def test_the_curves_are_the_mean_and_each_run() -> None:
    histories = [
        [{"epoch": epoch, "train": {"loss": value}, "test": {"loss": 2 * value}} for epoch in (1, 2, 3)]
        for value in (1.0, 3.0)
    ]
    (axes,) = seed_curves(histories, "nats").axes
    drawn = [list(line.get_ydata()) for line in axes.get_lines()]
    assert sorted(drawn) == sorted([[1] * 3, [3] * 3, [2] * 3, [2] * 3, [6] * 3, [4] * 3])


@pytest.mark.parametrize(
    ("numbers", "text"), [([3], "3"), ([0, 1, 2], "0-2"), ([7, 0, 1, 4, 3], "0-1, 3-4, 7"), ([2, 5], "2, 5")]
)
def test_seeds_are_written_in_short(numbers: list[int], text: str) -> None:
    assert spans(numbers) == text
