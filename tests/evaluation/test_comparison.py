"""Models side by side."""

from __future__ import annotations

import json
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from matplotlib.image import imread
from PIL import Image

from tests.helpers import CPU, PLUGIN, command, tiny_fields, tiny_recipe
from zoo.cli._output import print_table
from zoo.cli.app import run
from zoo.datasets import load_images
from zoo.entries.catalog import shipped_entries
from zoo.entries.loading import load
from zoo.errors import ZooError
from zoo.evaluation.comparison import LABEL_LENGTH, Comparison, Result, compare, portions, wrapped
from zoo.metrics import measure
from zoo.runs.folder import read_config
from zoo.training.run import train


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = tiny_recipe(name="tiny_ae", model={"variant": "ae"}, objective={"name": "reconstruction"})
    return train(recipe, tmp_path_factory.mktemp("runs") / "tiny_ae", CPU)


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = tiny_recipe(name="tiny_rgb", data={"name": "tiny", "channels": 3, "side": 32})
    return train(recipe, tmp_path_factory.mktemp("runs") / "tiny_rgb", CPU)


def test_the_table_is_measured_on_the_test_split(trained: Path, plain: Path) -> None:
    found = compare([trained, plain])
    assert [result.name for result in found.results] == ["tiny_vae", "tiny_ae"]
    model = load(trained)
    assert found.results[0].metrics == measure(model, load_images(tiny_recipe().data, "test"), tiny_recipe().data)
    assert set(found.results[1].metrics) == {"mse", "psnr"}
    assert all(result.measured for result in found.results)


def test_the_figure_has_originals_above_reconstructions_beside_samples(trained: Path, plain: Path) -> None:
    figure = compare([trained, plain], count=5).figure
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 1 + 2 * 2  # the test images, and for each model reconstructions and samples
    figure.canvas.draw()
    place = {axes.get_ylabel().split("\n")[0]: axes.get_position() for axes in drawn if axes.get_ylabel()}
    originals, first, second = (place[name] for name in ("test images", "tiny_vae", "tiny_ae"))
    assert originals.y0 > first.y0 > second.y0
    assert originals.x0 == pytest.approx(first.x0, abs=1e-6)
    samples = [axes.get_position() for axes in drawn if not axes.get_ylabel()]
    assert [box.y0 for box in samples] == [first.y0, second.y0]
    assert all(box.x0 > first.x1 for box in samples)
    labels = {axes.get_ylabel().split("\n")[0]: axes.get_ylabel() for axes in drawn}
    assert "ELBO" in labels["tiny_vae"]
    assert "MSE" in labels["tiny_ae"]
    assert "ELBO" not in labels["tiny_ae"]
    sizes = {axes.images[0].get_array().shape for axes in drawn}
    assert len(sizes) == 1  # the same number of images of the same size in every row


def test_models_of_different_shapes_are_refused(trained: Path, coloured: Path) -> None:
    with pytest.raises(ZooError, match="different shapes .*tiny_vae: 1x28x28, .*tiny_rgb: 3x32x32"):
        compare([trained, coloured])


def test_models_of_several_datasets_are_compared_dataset_by_dataset(
    trained: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"name": "glyphs", "train_images": 40, "test_images": 20}
    glyphs = train(tiny_recipe(name="tiny_glyphs", data=few), tmp_path / "tiny_glyphs", CPU)
    monkeypatch.setattr("zoo.evaluation.comparison.MODELS_PER_PAGE", 1)
    models = [trained, glyphs, plain]
    found = compare(models)
    assert [result.name for result in found.results] == ["tiny_vae", "tiny_ae", "tiny_glyphs"]
    assert [result.data for result in found.results] == ["tiny test split", "tiny test split", "glyphs test split"]
    card = load(glyphs).config
    assert card and found.results[2].metrics == pytest.approx(card.metrics["test"], rel=1e-5)
    assert found.data == "tiny test split; glyphs test split"
    assert [figure.texts[-1].get_text().rpartition("test split")[2] for figure in found.figures] == [
        ", page 1 of 2", ", page 2 of 2", "",
    ]  # fmt: skip
    assert [section for section, row in enumerate(found.table().rows) if row.end_section] == [1]
    on_one = compare(models, data="glyphs")
    assert [result.name for result in on_one.results] == ["tiny_vae", "tiny_glyphs", "tiny_ae"]
    assert {result.data for result in on_one.results} == {"glyphs test split"}

    out = tmp_path / "c.png"
    (tmp_path / "c-3.png").write_text("not the zoo's")
    refused = command("compare", *models, "--out", out, "--import", PLUGIN)
    assert "c-3.png is there already and not written by the zoo" in refused.stderr and not out.exists()
    (tmp_path / "c-3.png").unlink()
    done = command("compare", *models, "--out", out, "--import", PLUGIN)
    assert done.stdout.splitlines()[-1] == f"wrote {out}, {tmp_path / 'c-2.png'}, {tmp_path / 'c-3.png'}"
    assert {name for name in ("tiny_vae", "tiny_ae", "tiny_glyphs") if name in done.stdout} == {
        "tiny_vae", "tiny_ae", "tiny_glyphs",
    }  # fmt: skip
    assert {imread(path).shape[0] for path in tmp_path.glob("c*.png")} == {imread(out).shape[0]}


@pytest.mark.parametrize(
    ("number", "sizes"), [(1, [1]), (16, [16]), (17, [8, 9]), (33, [11, 11, 11]), (60, [15, 15, 15, 15])]
)
def test_pages_hold_about_the_same_number_of_models(number: int, sizes: list[int]) -> None:
    parts = portions(range(number), 16)
    assert [len(part) for part in parts] == sizes
    assert [item for part in parts for item in part] == list(range(number))


@pytest.mark.parametrize("data", [None, "tiny"])
def test_models_of_images_binarised_otherwise_are_compared_with_their_like(
    trained: Path, tmp_path: Path, data: str | None
) -> None:
    binary = train(
        tiny_recipe(name="binary", data={**tiny_fields()["data"], "binarization": "dynamic"}), tmp_path / "binary", CPU
    )
    for order in ([trained, binary], [binary, trained]):
        found = {result.name: result for result in compare(order, data=data).results}
        for folder in order:
            config = read_config(folder)
            measured = found[config.name]
            assert measured.metrics["mse"] == pytest.approx(config.metrics["test"]["mse"], rel=1e-5)
            assert measured.data == f"tiny test split{', binarised anew' if folder == binary else ''}"


def test_the_longest_names_are_whole_in_table_and_figure() -> None:
    name = "continuous_bernoulli_vae_of_any_length_that_a_recipe_can_have_16"[:64]
    assert len(name) == 64
    lines = wrapped(name)
    assert "".join(lines) == name and len(lines) == 3
    assert max(map(len, lines)) <= LABEL_LENGTH
    assert wrapped("conv_vae_mnist") == ["conv_vae_mnist"]
    assert max(map(len, wrapped(f"./{'x' * 300}/mine"))) <= LABEL_LENGTH  # no name has 300 letters in a row
    entry = "continuous_bernoulli_vae_fashion_mnist"
    result = Result("x", "d", entry, "a_variant", 1, {"mse": 0.5, "psnr": 1.0}, True)
    stream = StringIO()
    with redirect_stdout(stream):
        print_table(Comparison([result], []).table(), width=30)
    assert f" {entry} " in stream.getvalue()


def test_no_column_of_a_table_with_every_figure_and_several_datasets_is_cut() -> None:
    figures = {"negative_elbo": 472.83, "reconstruction": 465.44, "kl": 305.68, "mse": 0.01847, "active_units": 5.0}
    results = [
        Result(
            "x",
            f"{data} test split",
            "vq_vae_fashion_mnist",
            "linear_vae",
            661_664,
            figures | {"perplexity": 423.0},
            True,
        )
        for data in ("mnist", "fashion_mnist")
    ]
    for shown in (results, results[:1]):  # with a column for the data, and without
        stream = StringIO()
        with redirect_stdout(stream):
            print_table(Comparison(shown, []).table())
        lines = stream.getvalue().splitlines()
        assert sum(line.endswith("423 │") for line in lines) == len(shown)
        assert any("perplexity ┃" in line for line in lines)


def test_data_of_another_shape_is_refused(trained: Path) -> None:
    with pytest.raises(ZooError, match="its images are 3x32x32, the models take 1x28x28"):
        compare([trained], data="cifar10")
    with pytest.raises(ZooError, match="unknown dataset 'mnits'"):
        compare([trained], data="mnits")


def test_without_data_it_shows_samples_and_says_why(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(config: object, split: str) -> None:
        raise ZooError("the dataset 'tiny' is gone\nremedies")

    monkeypatch.setattr("zoo.entries.trained_model.load_images", nothing)
    with pytest.warns(UserWarning, match="the dataset 'tiny' is gone\nremedies"):
        found = compare([trained])
    assert (
        found.data == "no reconstructions, because the dataset 'tiny' is not here; the figures are those of each card"
    )
    assert len([axes for axes in found.figure.axes if axes.images]) == 1
    assert not found.results[0].measured
    assert found.results[0].metrics["mse"] > 0
    with pytest.raises(ZooError, match="gone"):
        compare([trained], data="tiny")


def test_ones_own_images(coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    (tmp_path / "images").mkdir()
    for index in range(12):
        Image.new("RGB", (50, 40), (index * 20, 30, 99)).save(tmp_path / "images" / f"{index}.png")
    found = compare([coloured], data=str(tmp_path / "images"), count=2)
    assert found.results[0].measured


def test_the_command_writes_a_figure_and_a_table(trained: Path, plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.png"
    done = command("compare", trained, plain, "--out", out, "--import", PLUGIN, "--count", 3)
    assert done.returncode == 0, done.stderr
    assert "tiny_vae" in done.stdout
    assert imread(out).ndim in (2, 3)  # grey or in colour
    table = command("compare", trained, "--import", PLUGIN, "--json", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["c.png"]
    assert json.loads(table.stdout)["models"][0]["variant"] == "linear_vae"


def test_runs_of_the_same_name_are_told_apart(trained: Path, tmp_path: Path) -> None:
    other = shutil.copytree(trained, tmp_path / "other")
    names = [result.name for result in compare([trained, other]).results]
    assert names == [str(trained), str(other)]


def test_data_that_needs_settings_says_so(trained: Path) -> None:
    with pytest.raises(ZooError, match="--data image_folder: path: field required"):
        compare([trained], data="image_folder")


@pytest.mark.parametrize("out", [".", "x.jpg"])
def test_a_place_for_the_figure_that_cannot_be(out: str) -> None:
    with pytest.raises(ZooError, match="expected the name of a .png file"):
        run(["compare", "--out", out])


@pytest.mark.parametrize("count", ["0", "-3", "1000"])
def test_a_count_out_of_range(count: str) -> None:
    with pytest.raises(ZooError, match="between 1 and 100"):
        run(["compare", "--count", count])


def test_a_figure_that_cannot_be_written(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "c.png").mkdir()
    done = command("compare", trained, "--import", PLUGIN, "--out", tmp_path / "c.png")
    assert done.returncode == 2
    assert "c.png: expected the name of a .png file" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_names_it_takes_the_entries_of_one_dataset() -> None:
    digits, clothes = shipped_entries("mnist"), shipped_entries("fashion_mnist")
    assert {"linear_vae_mnist", "conv_vae_mnist", "ae_mnist", "bn_vae_mnist"} <= set(digits)
    assert "ae_fashion_mnist" in clothes and not set(digits) & set(clothes)
    with pytest.raises(ZooError, match="no entry with weights is of the dataset 'svhn'"):
        run(["compare", "--data", "svhn"])


def test_a_kind_is_no_table() -> None:
    with pytest.raises(ZooError, match="drop --json"):
        run(["compare", "linear_vae_mnist", "--kind", "samples", "--json"])


@pytest.mark.parametrize("options", [["--seed", "3"], ["--at", "0,1"], ["--between", "1,2"], ["--path", "spherical"]])
def test_options_of_a_kind_are_refused_without_one(options: list[str]) -> None:
    with pytest.raises(ZooError, match="are for --kind"):
        run(["compare", "linear_vae_mnist", *options])


def test_the_model_that_lacks_a_kind_is_named() -> None:
    with pytest.raises(ZooError, match="linear_vae_mnist: a map needs"):
        run(["compare", "linear_vae_mnist", "--kind", "manifold"])


def test_a_conditional_model_is_compared_with_its_labels(tmp_path: Path) -> None:
    recipe = tiny_recipe(model={"variant": "conditional_vae", "hidden": [16]})
    folder = train(recipe, tmp_path / "run", CPU)
    model = load(folder)
    assert model.config
    assert compare([folder]).results[0].metrics == pytest.approx(model.config.metrics["test"], rel=1e-5)


def test_it_says_what_figures_differ_in_besides_the_models(trained: Path, plain: Path, tmp_path: Path) -> None:
    fewer = tiny_recipe(name="fewer", data={"name": "tiny", "test_images": 20})
    model = {"variant": "linear_vae", "hidden": [32], "latent_dim": 4, "likelihood": {"family": "gaussian"}}
    gaussian = tiny_recipe(name="gaussian", model=model)
    few, other = train(fewer, tmp_path / "fewer", CPU), train(gaussian, tmp_path / "gaussian", CPU)
    assert compare([trained, plain]).notes == ()  # an autoencoder has no ELBO to compare
    total = len(load_images(tiny_recipe().data, "test"))
    assert compare([few, trained]).notes == (
        "other images than in training, for tiny_vae",
        f"test images: 20 here, on the cards fewer 20, tiny_vae {total}",
    )
    (note,) = compare([trained, other]).notes
    assert note.endswith("ELBO under different likelihoods is not comparable: tiny_vae bernoulli, gaussian gaussian 1")
    done = command("compare", trained, other, "--out", tmp_path / "c.png", "--import", PLUGIN)
    assert note in done.stdout
