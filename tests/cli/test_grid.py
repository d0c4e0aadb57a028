"""Grids and shards of ``zoo train``: the list of runs, their names, the part of a job, the table at the end."""

from __future__ import annotations

import itertools
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import PLUGIN, command
from zoo.cli._common import with_runs_of_folders
from zoo.cli._plan import part_of
from zoo.errors import ZooError
from zoo.plotting.sweep import Line, sweep
from zoo.runs.folder import read_config, read_history
from zoo.schema.grid import Axis, name_of, points
from zoo.training.grid_summary import GridSummary

TINY = ("--import", PLUGIN, "--device", "cpu", "--set", "training.epochs=1")


def printed_names(*arguments: object) -> list[tuple[str, int]]:
    done = command("train", *arguments, "--import", PLUGIN, "--print-recipe")
    assert done.returncode == 0, done.stderr
    decoder, text, found = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        fields, end = decoder.raw_decode(text)
        found.append((fields["name"], fields["training"]["seed"]))
        text = text[end:].strip()
    return found


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("objective.beta=1,2.5,4", ("1", "2.5", "4")),
        ("optimizer.name=adam, sgd", ("adam", "sgd")),
        ("model.hidden=[64],[64,32]", ("[64]", "[64,32]")),
        ('data.path="a,b","c"', ('"a,b"', '"c"')),
    ],
)
def test_the_values_of_an_axis_are_what_set_takes(text: str, values: tuple[str, ...]) -> None:
    assert Axis.parse(text) == Axis(text.partition("=")[0], values)


def test_names_are_of_the_values_and_whole_fields_where_the_last_parts_are_the_same() -> None:
    axes = [Axis.parse("objective.beta=0.5,4"), Axis.parse("optimizer.lr=1e-05,1")]
    names = [name_of("vae", axes, point) for point in points(axes)]
    assert names == ["vae_beta_0_5_lr_1e_minus_05", "vae_beta_0_5_lr_1", "vae_beta_4_lr_1e_minus_05", "vae_beta_4_lr_1"]
    alike = [Axis.parse("objective.name=elbo"), Axis.parse("optimizer.name=adam")]
    assert name_of("vae", alike, ("elbo", "adam")) == "vae_objective_name_elbo_optimizer_name_adam"


def test_a_grid_is_every_combination_of_every_recipe_with_every_seed(recipe_file: Callable[..., Path]) -> None:
    grid = ("--grid", "objective.beta=1,4", "--grid", "model.latent_dim=2,3")
    every = [("conv_vae_mnist", "conv_vae_mnist"), ("tiny_vae", recipe_file())]
    found = printed_names(*(source for _, source in every), *grid, "--seeds", "0-1")
    expected = itertools.product([name for name, _ in every], (1, 4), (2, 3), (0, 1))
    assert found == [(f"{name}_beta_{beta}_latent_dim_{size}", seed) for name, beta, size, seed in expected]
    parts = [
        printed_names(*(source for _, source in every), *grid, "--seeds", "0-1", "--shard", f"{part}/3")
        for part in (1, 2, 3)
    ]
    assert list(itertools.chain(*parts)) == found
    assert [len(part) for part in parts] == [5, 5, 6]


@pytest.mark.parametrize(
    ("options", "lost"),
    [
        (("--set", "optimizer.learning_rate=0.01", "--grid", 'optimizer={"name":"adam"}'), "optimizer.learning_rate"),
        (("--grid", "objective.beta=1,4", "--grid", 'objective={"name":"elbo"}'), "objective.beta"),
    ],
)
def test_a_section_that_would_replace_what_is_set_before_is_refused(
    recipe_file: Callable[..., Path], options: tuple[str, ...], lost: str
) -> None:
    done = command("train", recipe_file(), *TINY, *options, "--print-recipe")
    assert done.returncode == 2 and f"the whole section would replace {lost}, which is set before it" in done.stderr


def test_a_field_after_its_section_is_set_in_it(recipe_file: Callable[..., Path]) -> None:
    grid = ("--grid", 'optimizer={"name":"adam"},{"name":"adamw"}', "--grid", "optimizer.learning_rate=0.5")
    done = command("train", recipe_file(), *TINY, *grid, "--print-recipe")
    assert done.returncode == 0 and done.stdout.count('"learning_rate": 0.5') == 2, done.stderr


def test_the_table_has_the_loss_on_validation_images(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    settings = ("--set", "training.validation=0.2", "--grid", "model.latent_dim=2,3", "--out", tmp_path / "runs")
    done = command("train", recipe_file(), *TINY, *settings)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "runs" / "tiny_vae-grid.md").read_text()
    assert "| latent_dim | validation loss | " in page
    for size in (2, 3):
        row = read_history(tmp_path / "runs" / f"tiny_vae_latent_dim_{size}")[-1]
        assert f"| {size} | {row['validation']['loss']:.2f} | " in page


@pytest.mark.parametrize("count", [0, 1, 5, 16, 17])
def test_the_parts_of_a_list_are_disjoint_and_of_one_size(count: int) -> None:
    parts = [part_of(range(count), (part, 16)) for part in range(1, 17)]
    assert list(itertools.chain(*parts)) == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_part_that_is_empty_is_no_mistake(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    done = command("train", recipe_file(), *TINY, "--shard", "1/16", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "--shard 1/16: none of the 1 runs is in this part\n")


def test_the_jobs_of_an_array_train_a_grid_and_the_last_sums_it_up(
    recipe_file: Callable[..., Path], tmp_path: Path
) -> None:
    grid = ("--grid", "objective.beta=1,4", "--grid", "model.latent_dim=3", "--resume", "--out", tmp_path / "runs")
    first = command("train", recipe_file(), *TINY, *grid, "--shard", "1/2")
    assert first.returncode == 0, first.stderr
    assert "points" not in first.stdout  # one alone needs no table
    done = command("train", recipe_file(), *TINY, *grid, "--shard", "2/2")
    assert done.returncode == 0, done.stderr
    assert "tiny_vae: 2 of 2 points" in done.stdout
    names = [f"tiny_vae_beta_{beta}_latent_dim_3" for beta in (1, 4)]
    assert sorted(os.listdir(tmp_path / "runs")) == sorted([*names, "tiny_vae-grid.md", "tiny_vae-grid.png"])
    page = (tmp_path / "runs" / "tiny_vae-grid.md").read_text()
    for name in names:
        config = read_config(tmp_path / "runs" / name)
        assert config.name == name
        beta, size = config.recipe["objective"]["beta"], config.recipe["model"]["latent_dim"]
        assert name == f"tiny_vae_beta_{beta:g}_latent_dim_{size}"
        row = next(line for line in page.splitlines() if line.endswith(f" {name} |"))
        assert row.startswith(f"| {beta:g} | {size} | ")
        assert f" {config.metrics['test']['negative_elbo']:.2f} " in row
    before = {path: path.stat().st_mtime_ns for name in names for path in (tmp_path / "runs" / name).iterdir()}
    compared = command("compare", tmp_path / "runs", "--import", PLUGIN, "--device", "cpu", "--json")
    assert compared.returncode == 0, compared.stderr
    assert [model["name"] for model in json.loads(compared.stdout)["models"]] == names
    again = command("train", recipe_file(), *TINY, *grid, "--shard", "2/2")
    assert again.returncode == 0, again.stderr
    assert "is finished already" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_run_of_another_recipe_is_none_of_the_grid(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    grid = ("--grid", "objective.beta=1,4", "--out", tmp_path / "runs")
    other = command("train", recipe_file(), *TINY, "--set", "model.latent_dim=2", *grid, "--shard", "2/2")
    assert other.returncode == 0, other.stderr
    done = command("train", recipe_file(), *TINY, *grid, "--shard", "1/2")
    assert done.returncode == 0, done.stderr
    assert "points" not in done.stdout  # the other is of another latent size


def test_a_point_of_several_seeds_has_mean_and_standard_deviation(tmp_path: Path) -> None:
    axes = [Axis.parse("objective.beta=1,4"), Axis.parse("model.latent_dim=2,3")]
    values = {("1", "2"): [100.0, 104.0], ("4", "2"): [110.0], ("1", "3"): [90.0, 92.0]}
    metrics = {point: [{"negative_elbo": value} for value in there] for point, there in values.items()}
    folders = {point: [tmp_path / f"run{index}" for index in range(len(there))] for point, there in values.items()}
    summary = GridSummary("vae", axes, folders, metrics)
    assert summary.title == "vae: 3 of 4 points, mean ± sd of their seeds"
    (metric,) = summary.shown()
    assert summary.cell(("1", "2"), metric) == f"102.00 ± {statistics.stdev([100, 104]):.2f}"
    assert summary.cell(("4", "2"), metric) == "110.00"
    assert summary.lines(metric) == [
        Line("latent_dim 2", [0, 1], [102.0, 110.0], [statistics.stdev([100, 104]), 0.0]),
        Line("latent_dim 3", [0], [91.0], [statistics.stdev([90, 92])]),
    ]
    (axes_of_figure,) = sweep({"nats": summary.lines(metric)}, "objective.beta", axes[0].values).axes
    assert [label.get_text() for label in axes_of_figure.get_xticklabels()] == ["1", "4"]
    assert [list(line.lines[0].get_ydata()) for line in axes_of_figure.containers] == [[102.0, 110.0], [91.0]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--shard", "17/16"], "there is no part 17 of 16; the parts are 1 to 16"),
        (["--shard", "0/16"], "there is no part 0 of 16"),
        (["--shard", "3"], "expected PART/PARTS as in 3/16, got '3'"),
        (["--grid", "objective.beta"], "expected section.field=value,value"),
        (["--grid", "objective.beta="], "a value of objective.beta is empty"),
        (["--grid", "objective.beta=1,,2"], "a value of objective.beta is empty"),
        (["--grid", "objective.beta=1,1"], "objective.beta=1 is there twice"),
        (["--grid", "objective.bta=1,2"], "with --grid: objective.bta: unknown field; did you mean 'beta'?"),
        (["--grid", "objective.beta=1,high"], "with --grid: objective.beta: "),
        (["--grid", "model.hidden=8,16"], "--grid model.hidden=8: write --grid 'model.hidden=[8]'"),
        (
            ["--grid", "objective.beta=1,2", "--set", "objective.beta=3"],
            "--grid objective.beta: the field is set twice",
        ),
        (["--grid", "training.seed=1,2", "--seeds", "0-1"], "--grid training.seed: the field is set twice"),
        (["--grid", "name=a,b"], "runs are named by their values"),
        (["--grid", "optimizer.lr=0.1,0.10000000000000000001"], "is there twice"),
        (["--grid", 'summary="a b","a-b","a b "'], "several of these recipes would be written to"),
        (["--grid", f"summary={'a' * 60},b"], "longer than 64 characters; --set name=mine"),
        (["--grid", f"training.seed={','.join(map(str, range(1001)))}"], "1,001 points, more than 1,000"),
    ],
)
def test_a_wrong_grid_or_shard_is_one_line(arguments: list[str], expected: str, tmp_path: Path) -> None:
    done = command("train", "vae_tutorial_mnist", *arguments, "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 2
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_that_goes_on_is_in_no_grid(trained: Path) -> None:
    done = command("train", trained, "--import", PLUGIN, "--resume", "--grid", "training.epochs=3,4")
    assert done.returncode == 2
    assert "without --seeds, --grid and --shard" in done.stderr


def test_a_folder_stands_for_the_finished_runs_in_it_in_natural_order(tmp_path: Path) -> None:
    for name in ("vae_beta_16", "vae_beta_2", "vae_beta_4.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
    (tmp_path / "empty").mkdir()
    found = with_runs_of_folders(["ae_mnist", str(tmp_path), str(tmp_path / "vae_beta_2"), str(tmp_path / "empty")])
    runs = [str(tmp_path / name) for name in ("vae_beta_2", "vae_beta_16")]
    assert found == ["ae_mnist", *runs, str(tmp_path / "empty")]


def test_a_job_that_was_stopped_goes_on_with_its_part(
    recipe_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("train", recipe_file(), *TINY, "--set", "training.epochs=2", "--grid", "objective.beta=1,4", "--resume")
    line = (*line, "--shard", "2/2", "--out", tmp_path / "runs")

    def stop(*_: object, **__: object) -> None:
        raise ZooError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr("zoo.training.run.finish", stop)
        assert command(*line).returncode == 2
    assert os.listdir(tmp_path / "runs") == ["tiny_vae_beta_4.partial"]
    done = command(*line)
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path / "runs") == ["tiny_vae_beta_4"]
    assert "epoch 1/2" not in done.stdout  # it went on from the checkpoint
