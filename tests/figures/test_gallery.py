"""Every kind of figure: it shows what it says, it is repeatable, and what a model lacks is refused in words."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from tests.helpers import CPU, PLUGIN, command, costly_variants, tiny_recipe, tiny_recipe_of, trainer
from zoo import plotting
from zoo.entries.trained_model import TrainedModel
from zoo.errors import NotApplicable, ZooError
from zoo.figures import FigureContext, FigureOptions, draw, side_by_side
from zoo.models import Autoencoder
from zoo.plotting.canvas import GAP, to_pixels
from zoo.priors.mixture import Mixture
from zoo.registry import FIGURES
from zoo.runs.folder import read_snapshots
from zoo.training.run import train
from zoo.training.state import copied

KINDS = FIGURES.names()
FLAT = "flat"
"""A model with a two-dimensional code, as maps need it."""


def lacks(kind: str, model: Autoencoder, *, labels: bool = True) -> bool:
    """Tell from the model's contract, and whether its images have labels, that it has no figure of a kind."""
    prior = model.prior
    return {
        "manifold": prior.latent_dim != 2 or prior.fitted,
        "label_samples": not model.classes,
        "class_samples": not labels,
        "codebook": not prior.num_codes,
        "random_codes": not prior.num_codes,
    }.get(kind, False)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Trains the tiny model of a variant, or the flat one, when it is first asked for."""
    folder = tmp_path_factory.mktemp("runs")

    @cache
    def trained_once(name: str) -> Path:
        if name == FLAT:
            recipe = tiny_recipe(name=name, model={"variant": "linear_vae", "hidden": [16], "latent_dim": 2})
        else:
            recipe = tiny_recipe_of(name, name=name, training={"epochs": 1, "batch_size": 50})
        return train(recipe, folder / name, CPU)

    return trained_once


@pytest.fixture(scope="module")
def context(run_of: Callable[[str], Path]) -> Callable[..., FigureContext]:
    trained = cache(lambda name: TrainedModel(run_of(name)))

    def make(name: str, **options: Any) -> FigureContext:
        return FigureContext(trained(name), FigureOptions(**options))

    return make


def drawn(figure: Figure) -> list[np.ndarray[Any, Any]]:
    """The pixels of the images in a figure."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def columns(row: np.ndarray[Any, Any], side: int = 28) -> list[np.ndarray[Any, Any]]:
    """The images of a row, grey."""
    return [row[:, left : left + side, 0] for left in range(0, row.shape[1], side + GAP)]


def small_png(figure: Figure) -> bytes:
    """A figure in a third of its pixels a side, which is drawn in half the time."""
    figure.set_dpi(figure.dpi / 3)
    return plotting.to_png(figure)


@pytest.mark.parametrize("name", [*costly_variants(), FLAT])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_of_every_model_that_has_it(
    name: str, kind: str, context: Callable[..., FigureContext], tmp_path: Path
) -> None:
    dim = context(name).model.prior.latent_dim
    options = {"count": 30} if kind in ("tsne", "pca") else {"count": 5}
    wanted = context(name, at=((0.0,) * dim, (1.0,) * dim), **options)
    if lacks(kind, wanted.model):
        with pytest.raises(ZooError, match="need"):
            draw(kind, wanted)
        return
    content = small_png(draw(kind, wanted))
    (tmp_path / "a.png").write_bytes(content)
    assert np.asarray(Image.open(tmp_path / "a.png").convert("L")).std() > 1
    assert small_png(draw(kind, context(name, at=wanted.options.at, **options))) == content


def test_originals_are_above_their_own_reconstructions(context: Callable[..., FigureContext]) -> None:
    found = context(FLAT, count=12)
    rows = drawn(draw("reconstructions", found))
    x = found.to_float(found.test.images[:12])
    y = found.model.reconstruct(x)
    for index in range(12):
        line, column = divmod(index, 10)
        for row, images in ((rows[2 * line], x), (rows[2 * line + 1], y)):
            np.testing.assert_allclose(columns(row)[column], images[index, 0].numpy(), atol=1e-6)


def test_an_interpolation_ends_at_two_images_of_the_classes_asked_for(context: Callable[..., FigureContext]) -> None:
    found = context(FLAT, between=(3, 5), count=4)
    (row,) = drawn(draw("interpolation", found))
    images = columns(row)
    assert len(images) == 6
    labels = found.labels(found.test)
    for label, end, near in ((3, images[0], images[1]), (5, images[-1], images[-2])):
        x = found.to_float(found.test.images[(labels == label).nonzero()[0]])
        np.testing.assert_allclose(end, x[0, 0].numpy(), atol=1e-6)
        np.testing.assert_allclose(near, found.model.reconstruct(x)[0, 0].numpy(), atol=1e-5)
    spherical = drawn(draw("interpolation", context(FLAT, between=(3, 5), count=4, path="spherical")))[0]
    np.testing.assert_allclose(columns(spherical)[1], images[1], atol=1e-5)
    with pytest.raises(ZooError, match="two different classes of 0, 1"):
        draw("interpolation", context(FLAT, between=(3, 30)))


def test_a_conditional_interpolation_reaches_both_ends_too(context: Callable[..., FigureContext]) -> None:
    found = context("conditional_vae", between=(3, 5), count=4)
    images = columns(drawn(draw("interpolation", found))[0])
    first = (found.labels(found.test) == 5).nonzero()[0]
    y = found.model.reconstruct(found.to_float(found.test.images[first]), torch.tensor([5]))
    np.testing.assert_allclose(images[-2], y[0, 0].numpy(), atol=1e-5)


def test_a_map_of_another_prior_than_a_standard_normal_is_refused(
    context: Callable[..., FigureContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = context(FLAT, count=5)
    model = deepcopy(found.model)
    model.prior = Mixture(2, 3)
    monkeypatch.setattr(FigureContext, "model", model)
    with pytest.raises(NotApplicable, match="a standard normal prior"):
        draw("manifold", found)


def test_a_map_shows_the_decoded_quantiles_the_right_way_up(context: Callable[..., FigureContext]) -> None:
    found = context(FLAT, count=5)
    (shown,) = drawn(draw("manifold", found))
    values = torch.distributions.Normal(0, 1).icdf(torch.tensor([0.1, 0.5, 0.9]))
    with torch.no_grad():
        top_right = found.model.decode(torch.tensor([[values[2], values[2]]])).mean[0, 0]
        bottom_left = found.model.decode(torch.tensor([[values[0], values[0]]])).mean[0, 0]
    np.testing.assert_allclose(shown[:28, -28:, 0], top_right.numpy(), atol=1e-5)
    np.testing.assert_allclose(shown[-28:, :28, 0], bottom_left.numpy(), atol=1e-5)


def test_chosen_codes_are_decoded(context: Callable[..., FigureContext]) -> None:
    found = context(FLAT, at=((0.0, 1.0), (1.0, 0.0)))
    figure = draw("decode", found)
    with torch.no_grad():
        expected = found.model.decode(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).mean[:, 0]
    for image, wanted in zip(drawn(figure), expected, strict=True):
        np.testing.assert_allclose(image[..., 0], wanted.numpy(), atol=1e-6)
    assert [axes.get_title() for axes in figure.axes] == ["z = (0, 1)", "z = (1, 0)"]
    for at, words in (((), "--at 0,1"), (((1.0,),), "2 dimensions, not 1")):
        with pytest.raises(ZooError, match=words):
            draw("decode", context(FLAT, at=at))


def test_a_scatter_has_a_legend_with_every_class(context: Callable[..., FigureContext]) -> None:
    figure = draw("pca", context(FLAT))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [str(label) for label in range(10)]


def test_samples_by_label_change_with_the_label_only(context: Callable[..., FigureContext]) -> None:
    rows = drawn(draw("label_samples", context("conditional_vae", count=3)))
    assert len(rows) == 10
    assert len({row.tobytes() for row in rows}) == 10


def test_the_progress_begins_untrained_and_ends_with_the_model(context: Callable[..., FigureContext]) -> None:
    found = context(FLAT)
    snapshots = found.trained.snapshots
    assert snapshots.epochs == [0, 1, 2]
    x, y = snapshots.originals, snapshots.reconstructions
    torch.testing.assert_close(y[-1], found.model.reconstruct(x), atol=1 / 255, rtol=0)
    assert not torch.allclose(y[0], y[-1], atol=0.1)


def test_snapshots_come_as_often_as_the_recipe_says_and_survive_a_stop(tmp_path: Path) -> None:
    recipe = tiny_recipe(training={"epochs": 5, "batch_size": 50}, execution={"snapshot_epochs": 3})
    whole = read_snapshots(train(recipe, tmp_path / "run", CPU))
    assert whole.epochs == [0, 3, 5]
    first = trainer(recipe)
    for _ in range(4):
        first.run_epoch()
    second = trainer(recipe)
    second.restore(copied(first.state()))
    second.run_epoch()
    assert second.snapshots.epochs == whole.epochs
    assert torch.equal(second.snapshots.reconstructions.float() / 255, whole.reconstructions)


def test_a_checkpoint_of_before_there_were_snapshots_can_be_gone_on_from() -> None:
    first = trainer(tiny_recipe())
    first.run_epoch()
    state = copied(first.state())
    del state["snapshots"]
    del state["recipe"]["model"]["activation"]  # a field that has come since
    second = trainer(tiny_recipe())
    second.restore(state)
    assert second.run_epoch()


def test_the_animation_has_a_frame_for_each_snapshot_all_of_one_size(
    context: Callable[..., FigureContext], tmp_path: Path
) -> None:
    found = context(FLAT).trained.snapshots
    (tmp_path / "a.gif").write_bytes(plotting.progress_gif(found.originals, [0, 9, 100], found.reconstructions))
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.n_frames == 3  # type: ignore[attr-defined]
        assert animation.info["loop"] == 0


def test_several_models_are_drawn_beside_each_other_pixel_by_pixel(context: Callable[..., FigureContext]) -> None:
    both = {name: context(name, count=10) for name in (FLAT, "ae")}
    whole = to_pixels(side_by_side(both, "samples"))
    alone = [to_pixels(draw("samples", found)) for found in both.values()]
    assert whole.shape[1] == sum(image.shape[1] for image in alone)
    height = alone[0].shape[0]
    assert np.array_equal(whole[-height:, : alone[0].shape[1]], alone[0])
    assert np.array_equal(whole[-height:, alone[0].shape[1] :], alone[1])
    six = plotting.side_by_side({str(number): draw("samples", both[FLAT]) for number in range(6)})  # four in a row
    assert to_pixels(six).shape[:2] == (2 * whole.shape[0], 4 * alone[0].shape[1])
    assert np.array_equal(to_pixels(six)[-height:, : alone[0].shape[1]], alone[0])


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "[]",
        '{"epoch": 1}',
        '{"epoch": 1, "train": {"loss": "7"}, "test": {"loss": 7}}',
        '{"epoch": 1, "train": {"loss": 1, "a": 2}, "test": {"loss": 1}}',
        '{"epoch": 1, "train": {"a": 2}, "test": {"a": 1}}',
        '{"epoch": 1e400, "train": {"loss": 1}, "test": {"loss": 1}}',
        '{"epoch": 1, "train": {"loss": 1, "$x": 1}, "test": {"loss": 1, "$x": 1}}',
    ],
)
def test_a_damaged_history_is_named(lines: str, run_of: Callable[[str], Path], tmp_path: Path) -> None:
    copy = shutil.copytree(run_of(FLAT), tmp_path / "run")
    (copy / "metrics.jsonl").write_text(lines)
    with pytest.raises(ZooError, match="metrics.jsonl"):
        draw("loss_curves", FigureContext(TrainedModel(copy)))


def test_damaged_or_missing_snapshots_are_named(run_of: Callable[[str], Path], tmp_path: Path) -> None:
    copy = shutil.copytree(run_of(FLAT), tmp_path / "run")
    (copy / "snapshots.safetensors").write_bytes((copy / "model.safetensors").read_bytes())
    with pytest.raises(ZooError, match="does not hold snapshots"):
        draw("progress", FigureContext(TrainedModel(copy)))
    (copy / "snapshots.safetensors").unlink()
    with pytest.raises(ZooError, match="keeps no snapshots"):
        draw("progress", FigureContext(TrainedModel(copy)))


def test_a_run_folder_cannot_say_where_its_figures_go(run_of: Callable[[str], Path], tmp_path: Path) -> None:
    copy = shutil.copytree(run_of(FLAT), tmp_path / "run")
    config = (copy / "config.json").read_text()
    (copy / "config.json").write_text(config.replace('"name": "flat"', '"name": "../../evil"', 1))
    done = command("figures", copy, "--kind", "samples", "--out", tmp_path, "--import", PLUGIN)
    assert done.returncode == 2
    assert "name" in done.stderr


def test_a_damaged_model_is_an_error_and_not_a_missing_kind(run_of: Callable[[str], Path], tmp_path: Path) -> None:
    copy = shutil.copytree(run_of(FLAT), tmp_path / "run")
    (copy / "model.safetensors").write_bytes(b"damaged")
    done = command("figures", copy, "--out", tmp_path, "--import", PLUGIN)
    assert done.returncode == 2
    assert "sha256 differs" in done.stderr


@pytest.fixture(scope="module")
def own_images(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Trained on a folder of coloured images, which have no classes."""
    folder = tmp_path_factory.mktemp("own")
    random = np.random.RandomState(0)
    (folder / "images").mkdir()
    for index in range(40):
        Image.fromarray(random.randint(0, 255, (20, 20, 3), dtype=np.uint8)).save(folder / "images" / f"{index}.png")
    data = {"name": "image_folder", "path": str(folder / "images"), "size": 16, "channels": 3}
    recipe = tiny_recipe(name="own", data=data, training={"epochs": 1, "batch_size": 8})
    return TrainedModel(train(recipe, folder / "own", CPU))


@pytest.mark.parametrize("kind", KINDS)
def test_ones_own_coloured_images_without_classes(kind: str, own_images: TrainedModel) -> None:
    wanted = FigureContext(own_images, FigureOptions(at=((0.0,) * 4,)))
    if lacks(kind, wanted.model, labels=False):
        with pytest.raises(NotApplicable):
            draw(kind, wanted)
    else:
        assert len(plotting.to_png(draw(kind, wanted))) > 1000


def test_too_little_for_a_kind_is_said(tmp_path: Path) -> None:
    narrow = tiny_recipe(model={"variant": "linear_vae", "hidden": [8], "latent_dim": 1})
    one_dimensional = TrainedModel(train(narrow, tmp_path / "narrow", CPU))
    few = tiny_recipe(data={"name": "tiny", "test_images": 1})
    lonely = TrainedModel(train(few, tmp_path / "few", CPU))
    for trained, kind in (
        (one_dimensional, "pca"),
        (one_dimensional, "tsne"),
        (lonely, "pca"),
        (lonely, "interpolation"),
    ):
        with pytest.raises(NotApplicable):
            draw(kind, FigureContext(trained))


def test_a_dataset_that_is_missing_is_looked_for_once(
    run_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def missing(*arguments: Any) -> None:
        calls.append(arguments)
        raise ZooError("not here")

    monkeypatch.setattr("zoo.entries.trained_model.load_images", missing)
    found = FigureContext(TrainedModel(run_of(FLAT)))
    for kind in ("reconstructions", "tsne", "interpolation"):
        with pytest.raises(NotApplicable, match="not here"):
            draw(kind, found)
    assert len(calls) == 1


def test_every_kind_says_what_it_shows() -> None:
    summaries = [kind.summary for kind in FIGURES.items().values()]
    assert all(summaries)
    assert len(set(summaries)) == len(KINDS)


# --- the commands -----------------------------------------------------------------------------------------------------


def test_the_command_draws_what_the_model_has_and_says_what_it_has_not(
    run_of: Callable[[str], Path], tmp_path: Path
) -> None:
    done = command("figures", run_of(FLAT), "--out", tmp_path, "--count", "10", "--import", PLUGIN)
    assert done.returncode == 0, done.stderr
    model = FigureContext(TrainedModel(run_of(FLAT))).model
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {f"flat-{kind}.png" for kind in KINDS if not lacks(kind, model) and kind != "decode"}
    assert "no codebook: " in done.stdout
    assert "no decode: say at which codes" in done.stdout


def test_the_command_draws_one_figure_to_a_file(run_of: Callable[[str], Path], tmp_path: Path) -> None:
    for name, *kind in (("a.png", "decode", "--at=-1,0.5"), ("b.gif", "progress")):
        done = command("figures", run_of(FLAT), "--kind", *kind, "--out", tmp_path / name, "--import", PLUGIN)
        assert done.returncode == 0, done.stderr
        assert Image.open(tmp_path / name).format == name[-3:].upper()
    table = command("figures", "--list")
    assert [line.split()[0] for line in table.stdout.splitlines()] == KINDS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a model"),
        (["linear_vae_mnist", "--kind", "manifoldd"], "did you mean 'manifold'"),
        (["linear_vae_mnist", "--kind", "manifold"], "two-dimensional"),
        (["linear_vae_mnist", "--kind", "samples", "--at", "0,1"], "--at is for the kind decode: add --kind decode"),
        (["linear_vae_mnist", "--kind", "samples", "--between", "3,5"], "--between is for the kind interpolation"),
        (["linear_vae_mnist", "--kind", "samples", "--path", "spherical"], "--path is for the kind interpolation"),
        (["linear_vae_mnist", "--kind", "samples", "--out", "/dev/null/place"], "cannot create the folder"),
        (["linear_vae_mnist", "--kind", "samples", "--out", "a.gif"], "only the kind progress"),
        (["linear_vae_mnist", "--out", "a.png"], "name one --kind"),
        (["linear_vae_mnist", "--kind", "decode", "--at", "1,x"], "expected numbers"),
        (["linear_vae_mnist", "--kind", "interpolation", "--between", "3"], "two classes"),
        (["linear_vae_mnist", "--kind", "samples", "--count", "0"], "between 1 and 10,000"),
        (["./nowhere"], "there is no folder"),
        (["linear_vae_mnistt", "--kind", "samples"], "did you mean 'linear_vae_mnist'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_explained(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = command("figures", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert not done.stdout
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_compare_draws_a_kind_of_several_models(
    run_of: Callable[[str], Path], context: Callable[..., FigureContext], tmp_path: Path
) -> None:
    out = tmp_path / "a.png"
    done = command(
        "compare", run_of(FLAT), run_of("ae"), "--kind", "pca", "--out", out, "--import", PLUGIN, "--count", "40"
    )
    assert done.returncode == 0, done.stderr
    alone = [to_pixels(draw("pca", context(name, count=40))).shape for name in (FLAT, "ae")]
    assert Image.open(out).size == (alone[0][1] + alone[1][1], alone[0][0] + 30)
