"""Every kind of picture: it shows what it says, it is repeatable, and what a model lacks is refused in words."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from tests.helpers import CPU, PLUGIN, command, tiny_recipe, trainer
from zoo import plotting as figures
from zoo.entries.trained_model import TrainedModel
from zoo.errors import NotApplicable, ZooError
from zoo.figures import KINDS, Options, beside, describe
from zoo.plotting.canvas import GAP, to_pixels
from zoo.runs.folder import read_snapshots
from zoo.training.checkpoint import copied
from zoo.training.run import train

VQ = {"variant": "vq_vae", "channels": 8, "codebook_size": 16, "code_dim": 4}
MODELS: dict[str, dict[str, Any]] = {
    "flat": {"variant": "linear_vae", "hidden": [16], "latent_dim": 2},
    "plain": {"variant": "ae", "hidden": [16], "latent_dim": 3},
    "conditional": {"variant": "conditional_vae", "hidden": [16], "latent_dim": 3},
    "quantized": VQ,
}
LACKS = {
    "flat": {"label_samples", "codebook", "random_codes"},
    "plain": {"manifold", "label_samples", "codebook", "random_codes"},
    "conditional": {"manifold", "codebook", "random_codes"},
    "quantized": {"manifold", "label_samples"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    objectives = {"plain": {"name": "reconstruction"}, "quantized": {"name": "vq"}}
    return {
        name: train(
            tiny_recipe(name=name, model=model, objective=objectives.get(name, {"name": "elbo"})), folder / name, CPU
        )
        for name, model in MODELS.items()
    }


@pytest.fixture
def subject(runs: dict[str, Path]) -> Callable[..., TrainedModel]:
    def make(name: str, **options: Any) -> TrainedModel:
        return TrainedModel(runs[name], options=Options(**options))

    return make


def drawn(figure: Figure) -> list[np.ndarray[Any, Any]]:
    """The pixels of the images in a figure."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def columns(row: np.ndarray[Any, Any], side: int = 28) -> list[np.ndarray[Any, Any]]:
    """The images of a row, grey."""
    return [row[:, left : left + side, 0] for left in range(0, row.shape[1], side + GAP)]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_of_every_model_that_has_it(
    name: str, kind: str, subject: Callable[..., TrainedModel], tmp_path: Path
) -> None:
    dim = subject(name).model.prior.latent_dim
    options = {"count": 30} if kind in ("tsne", "pca") else {"count": 5}
    wanted = subject(name, at=((0.0,) * dim, (1.0,) * dim), **options)
    if kind in LACKS[name]:
        with pytest.raises(ZooError, match="need"):
            KINDS[kind](wanted)
        return
    content = figures.to_png(KINDS[kind](wanted))
    (tmp_path / "a.png").write_bytes(content)
    assert np.asarray(Image.open(tmp_path / "a.png").convert("L")).std() > 1
    assert figures.to_png(KINDS[kind](subject(name, at=wanted.options.at, **options))) == content


def test_originals_are_above_their_own_reconstructions(subject: Callable[..., TrainedModel]) -> None:
    found = subject("flat", count=12)
    rows = drawn(KINDS["reconstructions"](found))
    x = found.x(found.test.images[:12])
    y = found.model.reconstruct(x)
    for index in range(12):
        line, column = divmod(index, 10)
        for row, images in ((rows[2 * line], x), (rows[2 * line + 1], y)):
            np.testing.assert_allclose(columns(row)[column], images[index, 0].numpy(), atol=1e-6)


def test_an_interpolation_ends_at_two_images_of_the_classes_asked_for(subject: Callable[..., TrainedModel]) -> None:
    found = subject("flat", between=(3, 5), count=4)
    (row,) = drawn(KINDS["interpolation"](found))
    images = columns(row)
    assert len(images) == 6
    labels = found.labels(found.test)
    for label, end, near in ((3, images[0], images[1]), (5, images[-1], images[-2])):
        x = found.x(found.test.images[(labels == label).nonzero()[0]])
        np.testing.assert_allclose(end, x[0, 0].numpy(), atol=1e-6)
        np.testing.assert_allclose(near, found.model.reconstruct(x)[0, 0].numpy(), atol=1e-5)
    spherical = drawn(KINDS["interpolation"](subject("flat", between=(3, 5), count=4, path="spherical")))[0]
    np.testing.assert_allclose(columns(spherical)[1], images[1], atol=1e-5)
    with pytest.raises(ZooError, match="two different classes of 0, 1"):
        KINDS["interpolation"](subject("flat", between=(3, 30)))


def test_a_conditional_interpolation_reaches_both_ends_too(subject: Callable[..., TrainedModel]) -> None:
    found = subject("conditional", between=(3, 5), count=4)
    images = columns(drawn(KINDS["interpolation"](found))[0])
    first = (found.labels(found.test) == 5).nonzero()[0]
    y = found.model.reconstruct(found.x(found.test.images[first]), torch.tensor([5]))
    np.testing.assert_allclose(images[-2], y[0, 0].numpy(), atol=1e-5)


def test_a_map_shows_the_decoded_quantiles_the_right_way_up(subject: Callable[..., TrainedModel]) -> None:
    found = subject("flat", count=5)
    (picture,) = drawn(KINDS["manifold"](found))
    values = torch.distributions.Normal(0, 1).icdf(torch.tensor([0.1, 0.5, 0.9]))
    with torch.no_grad():
        top_right = found.model.decode(torch.tensor([[values[2], values[2]]])).mean[0, 0]
        bottom_left = found.model.decode(torch.tensor([[values[0], values[0]]])).mean[0, 0]
    np.testing.assert_allclose(picture[:28, -28:, 0], top_right.numpy(), atol=1e-5)
    np.testing.assert_allclose(picture[-28:, :28, 0], bottom_left.numpy(), atol=1e-5)


def test_chosen_codes_are_decoded(subject: Callable[..., TrainedModel]) -> None:
    found = subject("flat", at=((0.0, 1.0), (1.0, 0.0)))
    figure = KINDS["decode"](found)
    with torch.no_grad():
        expected = found.model.decode(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).mean[:, 0]
    for image, wanted in zip(drawn(figure), expected, strict=True):
        np.testing.assert_allclose(image[..., 0], wanted.numpy(), atol=1e-6)
    assert [axes.get_title() for axes in figure.axes] == ["z = (0, 1)", "z = (1, 0)"]
    for at, words in (((), "--at 0,1"), (((1.0,),), "2 dimensions, not 1")):
        with pytest.raises(ZooError, match=words):
            KINDS["decode"](subject("flat", at=at))


def test_a_scatter_has_a_legend_with_every_class(subject: Callable[..., TrainedModel]) -> None:
    figure = KINDS["pca"](subject("flat"))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [str(label) for label in range(10)]


def test_samples_by_label_change_with_the_label_only(subject: Callable[..., TrainedModel]) -> None:
    rows = drawn(KINDS["label_samples"](subject("conditional", count=3)))
    assert len(rows) == 10
    assert len({row.tobytes() for row in rows}) == 10


def test_the_progress_begins_untrained_and_ends_with_the_model(subject: Callable[..., TrainedModel]) -> None:
    found = subject("flat")
    assert found.snapshots.epochs == [0, 1, 2]
    x, y = found.snapshots.originals, found.snapshots.reconstructions
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
    subject: Callable[..., TrainedModel], tmp_path: Path
) -> None:
    found = subject("flat").snapshots
    (tmp_path / "a.gif").write_bytes(figures.progress_gif(found.originals, [0, 9, 100], found.reconstructions))
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.n_frames == 3  # type: ignore[attr-defined]
        assert animation.info["loop"] == 0


def test_several_models_are_drawn_beside_each_other_pixel_by_pixel(subject: Callable[..., TrainedModel]) -> None:
    both = {name: subject(name, count=10) for name in ("flat", "plain")}
    whole = to_pixels(beside(both, "samples"))
    alone = [to_pixels(KINDS["samples"](found)) for found in both.values()]
    assert whole.shape[1] == sum(picture.shape[1] for picture in alone)
    height = alone[0].shape[0]
    assert np.array_equal(whole[-height:, : alone[0].shape[1]], alone[0])
    assert np.array_equal(whole[-height:, alone[0].shape[1] :], alone[1])


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
def test_a_damaged_history_is_named(lines: str, runs: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(runs["flat"], tmp_path / "run")
    (copy / "metrics.jsonl").write_text(lines)
    with pytest.raises(ZooError, match="metrics.jsonl"):
        KINDS["loss_curves"](TrainedModel(copy))


def test_damaged_or_missing_snapshots_are_named(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(runs["flat"], tmp_path / "run")
    (copy / "snapshots.safetensors").write_bytes((copy / "model.safetensors").read_bytes())
    with pytest.raises(ZooError, match="does not hold snapshots"):
        KINDS["progress"](TrainedModel(copy))
    (copy / "snapshots.safetensors").unlink()
    with pytest.raises(ZooError, match="keeps no snapshots"):
        KINDS["progress"](TrainedModel(copy))


def test_a_run_folder_cannot_say_where_its_pictures_go(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(runs["flat"], tmp_path / "run")
    config = (copy / "config.json").read_text()
    (copy / "config.json").write_text(config.replace('"name": "flat"', '"name": "../../evil"', 1))
    done = command("zoo.plotting", copy, "--kind", "samples", "--out", tmp_path, "--import", PLUGIN)
    assert done.returncode == 2
    assert "name" in done.stderr


def test_a_damaged_model_is_an_error_and_not_a_missing_kind(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(runs["flat"], tmp_path / "run")
    (copy / "model.safetensors").write_bytes(b"damaged")
    done = command("zoo.plotting", copy, "--out", tmp_path, "--import", PLUGIN)
    assert done.returncode == 2
    assert "sha256 differs" in done.stderr


@pytest.fixture(scope="module")
def own_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a folder of coloured pictures, which have no classes."""
    folder = tmp_path_factory.mktemp("own")
    random = np.random.RandomState(0)
    (folder / "pictures").mkdir()
    for index in range(40):
        Image.fromarray(random.randint(0, 255, (20, 20, 3), dtype=np.uint8)).save(folder / "pictures" / f"{index}.png")
    data = {"name": "image_folder", "path": str(folder / "pictures"), "size": 16, "channels": 3}
    recipe = tiny_recipe(name="own", data=data, training={"epochs": 1, "batch_size": 8})
    return train(recipe, folder / "own", CPU)


@pytest.mark.parametrize("kind", KINDS)
def test_ones_own_coloured_pictures_without_classes(kind: str, own_pictures: Path) -> None:
    wanted = TrainedModel(own_pictures, options=Options(at=((0.0,) * 4,)))
    if kind in {"manifold", "label_samples", "codebook", "random_codes", "class_samples"}:
        with pytest.raises(NotApplicable):
            KINDS[kind](wanted)
    else:
        assert len(figures.to_png(KINDS[kind](wanted))) > 1000


def test_too_little_for_a_kind_is_said(tmp_path: Path) -> None:
    narrow = tiny_recipe(model={"variant": "linear_vae", "hidden": [8], "latent_dim": 1})
    subject = TrainedModel(train(narrow, tmp_path / "narrow", CPU))
    few = tiny_recipe(data={"name": "tiny", "test_images": 1})
    lonely = TrainedModel(train(few, tmp_path / "few", CPU))
    for found, kind in ((subject, "pca"), (subject, "tsne"), (lonely, "pca"), (lonely, "interpolation")):
        with pytest.raises(NotApplicable):
            KINDS[kind](found)


def test_a_dataset_that_is_missing_is_looked_for_once(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def missing(*arguments: Any) -> None:
        calls.append(arguments)
        raise ZooError("not here")

    monkeypatch.setattr("zoo.entries.trained_model.load_images", missing)
    found = TrainedModel(runs["flat"])
    for kind in ("reconstructions", "tsne", "interpolation"):
        with pytest.raises(NotApplicable, match="not here"):
            KINDS[kind](found)
    assert len(calls) == 1


def test_every_kind_says_what_it_shows() -> None:
    assert all(describe(kind) for kind in KINDS)
    assert len({describe(kind) for kind in KINDS}) == len(KINDS)


# --- the commands -----------------------------------------------------------------------------------------------------


def test_the_command_draws_what_the_model_has_and_says_what_it_has_not(runs: dict[str, Path], tmp_path: Path) -> None:
    done = command("zoo.plotting", runs["flat"], "--out", tmp_path, "--count", "10", "--import", PLUGIN)
    assert done.returncode == 0, done.stderr
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {f"flat-{kind}.png" for kind in set(KINDS) - LACKS["flat"] - {"decode"}}
    assert "no codebook: " in done.stdout
    assert "no decode: say at which codes" in done.stdout


def test_the_command_draws_one_picture_to_a_file(runs: dict[str, Path], tmp_path: Path) -> None:
    for name, kind in (("a.png", "decode"), ("b.gif", "progress")):
        options = ("--kind", kind, "--out", tmp_path / name, "--import", PLUGIN, "--at=-1,0.5")
        done = command("zoo.plotting", runs["flat"], *options)
        assert done.returncode == 0, done.stderr
        assert Image.open(tmp_path / name).format == name[-3:].upper()
    table = command("zoo.plotting", "--list")
    assert [line.split()[0] for line in table.stdout.splitlines()] == list(KINDS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a model"),
        (["linear_vae_mnist", "--kind", "manifoldd"], "did you mean 'manifold'"),
        (["linear_vae_mnist", "--kind", "manifold"], "two-dimensional"),
        (["linear_vae_mnist", "--kind", "samples", "--out", "/no/such/place"], "there is no folder"),
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
    done = command("zoo.plotting", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert not done.stdout
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_compare_draws_a_kind_of_several_models(runs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    done = command(
        "compare", runs["flat"], runs["plain"], "--kind", "pca", "--out", out, "--import", PLUGIN, "--count", "40"
    )
    assert done.returncode == 0, done.stderr
    alone = [
        to_pixels(KINDS["pca"](TrainedModel(runs[name], options=Options(count=40)))).shape for name in ("flat", "plain")
    ]
    assert Image.open(out).size == (alone[0][1] + alone[1][1], alone[0][0] + 30)
