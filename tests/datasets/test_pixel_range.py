"""Images of more than 8 bits: the range of their values, found or set, in training and in every task."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from tests.helpers import command, dataset, tiny_fields
from zoo.datasets import load_images
from zoo.errors import ZooError
from zoo.inference.image_stream import open_images
from zoo.schema.recipe import parse_data
from zoo.system.image_files import flatten
from zoo.system.image_scan import scan
from zoo.system.pixel_range import ValueHistogram, to_8_bits, usual_range
from zoo.tasks import score

RIGHT = 128.6
"""The mean of the 20 images of 8 bits that the others are made of, to within their resizing."""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "zoo-data"))
    monkeypatch.chdir(tmp_path)


def grey(number: int) -> np.ndarray:
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC).convert("L"))


def write(values: Any, folder: str = "pics", count: int = 20) -> None:
    Path(folder).mkdir(exist_ok=True)
    for number in range(count):
        Image.fromarray(values(grey(number))).save(f"{folder}/p{number:02}.tif")


def settings(folder: str = "pics", **more: Any) -> Any:
    return dataset("image_folder", **{"path": folder, "size": 32, "channels": 1, **more})


def mean(**more: Any) -> float:
    parts = [load_images(settings(**more), split).images.float() for split in ("train", "test")]
    return float(torch.cat(parts).mean())


LOWEST, HIGHEST = min(int(grey(n).min()) for n in range(20)), max(int(grey(n).max()) for n in range(20))

KINDS: dict[str, tuple[Any, tuple[float, float]]] = {
    "float of 8 bits": (lambda a: a.astype(np.float32), (0, 255)),
    "float from 0 to 1": (lambda a: a.astype(np.float32) / 255, (0, 1)),
    "float from -1 to 1": (lambda a: a.astype(np.float32) / 127.5 - 1, (-1, 1)),
    "12 bits": (lambda a: a.astype(np.uint16) * 16, (0, 4095)),
    "16 bits": (lambda a: a.astype(np.uint16) * 257, (0, 65535)),
    "signed": (lambda a: a.astype(np.int32) * 12 - 1024, (LOWEST * 12 - 1024, HIGHEST * 12 - 1024)),
    "32 bits of 8": (lambda a: a.astype(np.int32), (0, 255)),
    "32 bits": (lambda a: a.astype(np.int32) * 2**22, (0, 2**30 - 1)),
    "tiny floats": (lambda a: a.astype(np.float32) * 1e-6, (LOWEST * 1e-6, HIGHEST * 1e-6)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("error")
def test_the_range_is_that_of_the_images(kind: str) -> None:
    values, (low, high) = KINDS[kind]
    write(values)
    raw = float(np.mean([values(grey(number)).astype(np.float64) for number in range(20)]))
    found = mean()
    assert found == pytest.approx((raw - low) / (high - low) * 255, abs=1)
    assert found == pytest.approx(RIGHT, abs=1.5)
    assert settings().resolved(labels=False).range == pytest.approx((low, high), abs=0.01 * (high - low))


@pytest.mark.filterwarnings("error")
def test_a_few_pixels_do_not_decide() -> None:
    write(lambda a: a.astype(np.uint16) * 16)
    for file in ("pics/p03.tif", "pics/p07.tif"):
        hot = np.asarray(Image.open(file)).copy()
        hot[5, 5] = 65535
        Image.fromarray(hot).save(file)
    assert settings().resolved(labels=False).range == (0, 4095)


@pytest.mark.filterwarnings("error")
def test_pixels_without_a_value_are_the_lowest_and_reported() -> None:
    def holes(a: np.ndarray) -> np.ndarray:
        values = a.astype(np.float32) + 100
        values[:16] = np.nan
        values[16, :4] = np.inf
        return values

    write(holes)
    train = load_images(settings(), "train")
    assert any("pixels without a value count as the lowest" in note for note in train.notes)
    assert int(train.images[:, :, :15].max()) == 0
    assert int(train.images[:, :, 17:].max()) > 200


def test_a_range_that_is_set_is_used_and_one_that_does_not_suit_is_reported() -> None:
    write(lambda a: a.astype(np.uint16) * 16)
    assert mean(range=(0, 8190)) == pytest.approx(RIGHT / 2, abs=3)
    with pytest.warns(UserWarning, match="values lie between 64 and 3984, but 0 becomes black and 65535 white"):
        assert mean(range=(0, 65535)) < 10
    with pytest.raises(ZooError, match="second number must be larger"):
        parse_data({"name": "image_folder", "path": "pics", "range": [5, 5]}, "x")


def test_images_of_almost_one_shade_are_reported_whatever_the_reason() -> None:
    write(lambda a: (a // 16).astype(np.uint8))
    with pytest.warns(UserWarning, match="almost one shade: from 1 to 15 of 255"):
        mean()


def test_training_and_tasks_use_the_same_range() -> None:
    write(lambda a: a.astype(np.uint16) * 16)
    write(lambda a: (a.astype(np.uint16) * 16) // 2, "dark")  # their own range would be 0 to 2,047
    fields = tiny_fields(data={"name": "image_folder", "path": "pics", "size": 32, "channels": 1})
    Path("r.json").write_text(json.dumps(fields))
    done = command("train", "r.json", "--device", "cpu", cwd=Path())
    assert done.returncode == 0, done.stderr
    assert "20 files have values of more than 8 bits, from 64 to 3984: 0 becomes black, 4095 white" in done.stdout
    config = json.loads(Path("runs/tiny_vae/config.json").read_text())
    assert config["recipe"]["data"]["range"] == [0, 4095]
    assert "values from 0 to 4095 are black to white" in Path("runs/tiny_vae/README.md").read_text()
    model = zoo.load("./runs/tiny_vae")
    bright, dark = (
        next(open_images(f"./{name}", model).batches(20)).images.float().mean() for name in ("pics", "dark")
    )
    assert float(dark) == pytest.approx(float(bright) / 2, abs=1)
    again = command("train", "r.json", "--resume", "--device", "cpu", cwd=Path())
    assert "is finished already" in again.stdout
    compared = command("compare", "./runs/tiny_vae", "--data", "./dark", cwd=Path())
    assert compared.returncode == 0, compared.stderr


def test_a_histogram_gives_exact_extremes_in_any_order_and_parts() -> None:
    random = np.random.default_rng(0)
    parts = [random.normal(scale=10.0**power, size=500).astype(np.float32) for power in range(-3, 6)]
    whole, merged = ValueHistogram(), ValueHistogram()
    whole.add(np.concatenate(parts))
    for part in reversed(parts):
        one = ValueHistogram()
        one.add(part)
        merged.merge(one)
    every = np.concatenate(parts)
    assert whole.found == merged.found == (every.min(), every.max())
    many = ValueHistogram()
    many.add(random.uniform(-1, 1, 1_000_000).astype(np.float32))
    assert many.found is not None
    assert many.found[0] == pytest.approx(-0.9998, abs=0.005)
    assert many.found[1] == pytest.approx(0.9998, abs=0.005)
    assert many.share_outside((-0.5, 0.5)) == pytest.approx(0.5, abs=0.01)
    assert ValueHistogram().found is None


def test_usual_ranges() -> None:
    assert usual_range(0, 5, whole=True) == (0, 7)
    assert usual_range(300, 60000, whole=True) == (0, 65535)
    assert usual_range(60000, 65000, whole=True) == (60000, 65000)
    assert usual_range(0, 0.05, whole=False) == (0, 0.05)
    assert usual_range(3, 3, whole=False) == (3, 4)


@pytest.mark.filterwarnings("error")
def test_scaling_to_8_bits() -> None:
    values = np.array([-5, 0, 50, 100, 200, np.nan, np.inf, -np.inf], np.float32)
    assert to_8_bits(values, (0, 100)).tolist() == [0, 0, 128, 255, 255, 0, 255, 0]
    assert np.asarray(flatten(Image.fromarray(np.array([[0, 4095]], np.uint16)), 1, (0, 4095))).tolist() == [[0, 255]]


FEW_SHADES = {
    "a mark for no value": lambda a: np.where(a < 60, -9999, a / 255).astype(np.float32),
    "a scale drawn into each image": lambda a: np.where(np.arange(32) < 1, 65535, a.astype(np.uint16) * 8),
}


@pytest.mark.parametrize("kind", FEW_SHADES)
def test_values_that_become_few_shades_are_said(kind: str) -> None:
    write(FEW_SHADES[kind])
    with pytest.warns(UserWarning, match="most of them so close together that they become few shades of grey"):
        mean()


@pytest.mark.filterwarnings("error::UserWarning")
def test_values_that_keep_their_shades_are_not() -> None:
    for number, (values, _) in enumerate(KINDS.values()):
        write(values, f"kind{number}")
        mean(path=f"kind{number}")
    write(lambda a: (a > 128).astype(np.uint16) * 65535, "sketches")
    mean(path="sketches")


def test_kinds_of_values_that_share_one_range_are_said() -> None:
    write(lambda a: a.astype(np.float32) / 255)
    Path("pics/more").mkdir()
    write(lambda a: a.astype(np.uint16) * 257, "pics/more")
    with pytest.warns(UserWarning, match="floats from 0.0.* to 0.9.* and whole numbers from .* one range, 0 to 65535"):
        mean()


# --- in tasks ---------------------------------------------------------------------------------------------------------


def test_a_score_depends_on_no_other_file() -> None:
    model = zoo.load("beta_vae_1_glyphs")
    write(lambda a: a.astype(np.uint16) * 16, "one", 1)
    write(lambda a: a.astype(np.uint16) * 257)

    def scored(source: str, **more: Any) -> float:
        return float(next(iter(score(model, open_images(source, model, **more)))).scores["mse"][0])

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # 12 bits fill a sixteenth of 16: that is said, and these are not
        bright = scored("./pics")
    words = (
        r"the values lie between \d+ and \d+, but 0 becomes black and 65535 white .--range=0,4095 would suit them; the"
    )
    with pytest.warns(UserWarning, match=words):
        alone = scored("./one/p00.tif")
    Path("one/p00.tif").rename("pics/0.tif")
    assert scored("./pics") == pytest.approx(alone, rel=1e-5) != bright
    asked = scored("./pics/0.tif", value_range=(0, 4095))
    write(lambda a: a, "eight", 1)
    assert asked == pytest.approx(scored("./eight"), abs=2e-3) != alone


@pytest.mark.parametrize(
    ("values", "suited"),
    [
        (lambda a: a.astype(np.float32) * 257, "0,65535"),
        (lambda a: a.astype(np.float32), "0,255"),
        (lambda a: a.astype(np.float32) / 127.5 - 1, "-1,1"),
        (lambda a: (a > 100).astype(np.uint16), "0,1"),
        (lambda a: a.astype(np.int32) % 4 + 1_000_000, "1000000,1000003"),
    ],
)
def test_values_that_lose_much_without_a_range_are_said_with_one_that_can_be_given(values: Any, suited: str) -> None:
    write(values, count=2)
    model = zoo.load("ae_mnist")
    with pytest.warns(UserWarning, match=f"--range={suited} would suit them; the model's recipe has no range"):
        open_images("./pics", model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_images("./pics", model, tuple(map(float, suited.split(","))))


@pytest.mark.filterwarnings("error")
def test_floats_and_whole_numbers_have_a_range_each_in_tasks_and_a_dark_file_is_none_of_fewer_bits() -> None:
    write(lambda a: a.astype(np.uint16) * 257, "pics", 12)
    write(lambda a: a.astype(np.float32) / 255, "floats", 12)
    for path in Path("floats").iterdir():
        path.rename(Path("pics") / f"f{path.name}")
    write(lambda a: a.astype(np.uint16) * 12, "dark", 1)
    Path("dark/p00.tif").rename("pics/dark.tif")
    model = zoo.load("ae_mnist")
    (batch,) = open_images("./pics", model).batches(100)
    means = batch.images.float().mean(dim=(1, 2, 3))[1:]  # the dark one comes first
    assert torch.allclose(means[:12], means[12:], atol=1)


def test_files_of_fewer_bits_than_the_others_are_named() -> None:
    write(lambda a: a.astype(np.uint16) * 257)
    write(lambda a: a.astype(np.uint16) * 16, "twelve", 5)
    for path in Path("twelve").iterdir():
        path.rename(Path("pics") / f"12{path.name}")
    with pytest.warns(UserWarning, match=r"5 of the 25 files .*first: pics.12p00.tif. become almost one shade"):
        load_images(settings(), "train")


@pytest.mark.slow
def test_the_range_of_a_task_can_be_said_and_is_checked(tmp_path: Path) -> None:
    write(lambda a: a.astype(np.uint16) * 16, count=3)
    folder = tmp_path / "pics"
    means = []
    for more in ([], ["--range=0,4095"]):
        done = command("reconstruct", "ae_mnist", folder, *more, "--json", "--out", tmp_path / f"out{len(more)}")
        assert done.returncode == 0, done.stderr
        assert ("--range=0,4095" in done.stderr) == (not more)
        means.append(json.loads(done.stdout)["mse"])
    assert means[0] != means[1]
    done = command("anomaly", "ae_mnist", folder, "--range=0,4095", "--against", "glyphs", "--out", tmp_path / "a.csv")
    assert done.returncode == 0 or "scikit-learn" in done.stderr, done.stderr
    for wrong in ("1", "2,1", "a,b", "nan,1"):
        done = command("reconstruct", "ae_mnist", folder, f"--range={wrong}")
        assert (done.returncode, "expected two numbers, as 0,4095" in done.stderr) == (2, True)
    model = zoo.load("ae_mnist")
    with pytest.raises(ZooError, match="a range is two numbers, the values for black and for white; got"):
        open_images("./pics", model, (4095, 0))
    with pytest.raises(ZooError, match="a range of values is for image files; 'mnist' is a dataset"):
        open_images("mnist", model, (0, 4095))


def test_a_range_without_any_file_that_it_is_for_is_said() -> None:
    write(lambda a: a)
    words = "no file has values of more than 8 bits, which alone the range 0 to 4095 is for"
    with pytest.warns(UserWarning, match=words):
        load_images(settings(range=(0, 4095)), "train")


def test_files_of_8_bits_beside_others_are_told() -> None:
    write(lambda a: a.astype(np.uint16) * 257)
    write(lambda a: a, "eight", 3)
    for path in Path("eight").iterdir():
        path.rename(Path("pics") / f"8{path.name}")
    (line,) = scan(sorted(Path("pics").iterdir()), "first").describe()
    assert line.startswith("20 files have values of more than 8 bits")
    assert line.endswith("; 3 files of 8 bits beside them keep 0 to 255")
