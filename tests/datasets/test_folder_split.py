"""What of a folder of images counts, and on which side."""

from __future__ import annotations

import os
import unicodedata
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers import dataset
from zoo.datasets import ImageSet, load_images
from zoo.datasets._folder_split import key_of, position, split_images
from zoo.errors import ZooError
from zoo.system.image_sources import images_at


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "zoo-data"))
    monkeypatch.chdir(tmp_path)


def image(number: int, size: int = 16) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)


def put(path: str | bytes | Path, number: int, **options: Any) -> None:
    path = Path(os.fsdecode(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    image(number).save(path, **options)


def splits(folder: str, **settings: Any) -> tuple[ImageSet, ImageSet]:
    config = dataset("image_folder", **{"path": folder, "size": 16, "channels": 3, **settings})
    return load_images(config, "train"), load_images(config, "test")


def sizes(folder: str, **settings: Any) -> tuple[int, int]:
    train, test = splits(folder, **settings)
    return len(train), len(test)


def sides(folder: str, **settings: Any) -> dict[Any, set[str]]:
    root = Path(folder)
    options: dict[str, Any] = {"holdout": 0.1, "group": None, "test_list": None, **settings}
    split = split_images(root, images_at(root).paths, **options)
    return {side: {path.relative_to(root).as_posix() for path in paths} for side, paths in split.sides.items()}


@pytest.mark.parametrize(
    ("train", "held_out"),
    [("train", "val"), ("Train", "Test"), ("training", "testing"), ("TRAIN", "valid"), ("Training", "Validation")],
)
@pytest.mark.filterwarnings("error")
def test_folders_named_like_a_split_are_it(train: str, held_out: str) -> None:
    for number in range(20):
        put(f"a/{train if number < 16 else held_out}/p{number}.png", number)
    assert sizes("a") == (16, 4)


def test_validation_images_beside_test_images_are_not_trained_on_and_that_is_said() -> None:
    for number in range(20):
        put(f"a/{'train' if number < 12 else 'val' if number < 15 else 'test'}/p{number}.png", number)
    with pytest.warns(UserWarning, match=r"left out 3 \(val/p12.png.*validation images, neither trained on nor tested"):
        train, test = splits("a")
    assert (len(train), len(test)) == (12, 5)
    assert any("validation images" in note for note in train.notes)


def test_a_test_folder_alone_is_held_out_and_images_beside_train_and_test_are_named() -> None:
    for number in range(10):
        put(f"a/{'cats' if number < 7 else 'Test'}/p{number}.png", number)
    assert sides("a")["test"] == {f"Test/p{number}.png" for number in (7, 8, 9)}
    put("a/train/x.png", 20)
    with pytest.warns(UserWarning, match=r"left out 7 .*outside the folders of training and test images"):
        assert sizes("a") == (1, 3)


def test_folders_of_splits_may_lie_deeper() -> None:
    for number in range(10):
        put(f"a/bottle/{'train/good' if number < 7 else 'test/broken'}/p{number}.png", number)
    assert sizes("a") == (7, 3)


@pytest.mark.filterwarnings("error")
def test_hidden_files_and_those_of_tools_are_left_out() -> None:
    for number in range(20):
        put(f"a/p{number}.png", number)
        put(f"a/.ipynb_checkpoints/p{number}-checkpoint.png", number)
        put(f"a/__MACOSX/p{number}.png", number)
        put(f"a/._p{number}.png", number)
    train, test = splits("a")
    assert len(train) + len(test) == 20
    assert any(".ipynb_checkpoints" in note and "hidden" in note for note in train.notes)
    put(".a/.b/p.png", 1)
    put(".a/.b/q.png", 2)
    assert sum(sizes(".a/.b")) == 2  # the folder that was asked for may be hidden


def test_kinds_that_are_not_read_are_named() -> None:
    for number in range(10):
        put(f"a/p{number}.png", number)
        (Path("a") / f"q{number}.nef").write_bytes(b"raw")
        put(f"a/r{number}.png", number)
        Path(f"a/r{number}.png").rename(f"a/r{number}")
    (Path("a") / "README").write_text("no image")
    with pytest.warns(UserWarning) as caught:
        assert sum(sizes("a")) == 10
    told = "\n".join(str(warning.message) for warning in caught)
    assert "left out 10 (q0.nef" in told and "of a kind that is not read (.nef)" in told
    assert "left out 10 (r0" in told and "without an ending" in told
    assert "README" not in told


def test_heic_is_read_with_its_plugin_and_named_without(monkeypatch: pytest.MonkeyPatch) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    for number in range(6):
        put(f"a/p{number}.heic", number)
    assert sum(sizes("a")) == 6
    from zoo.system import image_sources

    known = image_sources.endings() - image_sources.HEIF
    monkeypatch.setattr(image_sources, "endings", lambda: known)
    put("a/p.png", 8)
    put("a/q.png", 9)
    with pytest.warns(UserWarning, match=r"left out 6 .*\(.heic\); install the extra heif"):
        assert sum(sizes("a")) == 2


def test_links_are_followed_once_and_never_in_circles() -> None:
    for number in range(15):
        put(f"store/c0/p{number}.png", number)
        put(f"store/c1/p{number}.png", 100 + number)
    put("a/own/a.png", 200)
    put("a/own/b.png", 201)
    for name in ("c0", "c1"):
        os.symlink(f"../store/{name}", f"a/{name}")
    os.symlink("..", "a/own/up")
    assert sum(sizes("a")) == 32
    os.symlink("own/a.png", "a/again.png")
    with pytest.warns(UserWarning, match=r"left out 2 \(again.png, own/up\): the same file or folder"):
        assert sum(sizes("a")) == 32


def test_what_is_no_file_is_named() -> None:
    for number in range(5):
        put(f"a/p{number}.png", number)
    os.mkfifo("a/pipe.png")
    os.symlink("nowhere.png", "a/dangling.png")
    with pytest.warns(UserWarning) as caught:
        assert sum(sizes("a")) == 5
    told = "\n".join(str(warning.message) for warning in caught)
    assert "(pipe.png): pipes, sockets or devices" in told
    assert "(dangling.png): links to nothing" in told


def test_a_folder_that_cannot_be_opened_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        put(f"a/p{number}.png", number)
    put("a/closed/q.png", 9)
    scandir = os.scandir

    def refusing(folder: str) -> Any:
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.warns(UserWarning, match=r"left out 1 \(closed\): folders that cannot be opened"):
        assert sum(sizes("a")) == 5


def test_repeating_names_are_divided_by_path_and_stay_where_they_are() -> None:
    for number in range(30):
        put(f"a/case_{number:02}/slice.png", number)
    before = sides("a")
    assert 1 <= len(before["test"]) <= 7
    for number in range(30, 60):
        put(f"a/case_{number:02}/slice.png", number)
    after = sides("a")
    assert before["test"] <= after["test"]
    assert before["train"] <= after["train"]


def test_flat_folders_hold_out_what_they_always_did() -> None:
    import hashlib

    names = [f"p{number}.png" for number in range(500)]
    expected = [int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10 == 0 for name in names]
    assert [position(name) < 0.1 for name in names] == expected


def test_positions_are_uniform() -> None:
    positions = np.sort([position(f"p{number}.png") for number in range(2000)])
    assert np.abs(positions - np.linspace(0, 1, 2000)).max() < 0.04  # Kolmogorov-Smirnov at 0.3 %


def test_a_larger_share_keeps_those_held_out() -> None:
    for number in range(60):
        put(f"a/p{number}.png", number)
    few, many = sides("a", holdout=0.1)["test"], sides("a", holdout=0.5)["test"]
    assert few < many
    assert 20 < len(many) < 40


def test_a_name_holds_out_alike_however_it_is_composed_or_encoded() -> None:
    for name in ("Fläche", "été", "Ångström"):
        composed, taken_apart = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
        assert composed != taken_apart
        assert position(composed) == position(taken_apart)
    for number in range(20):
        put(f"a/p{number:02}.png", number)
    os.rename(b"a/p03.png", b"a/Fl\xe4che.png")
    os.rename(b"a/p04.png", b"a/Fl\xe5che.png")
    assert sum(sizes("a")) == 20
    assert position(os.fsdecode(b"Fl\xe4che.png")) != position(os.fsdecode(b"Fl\xe5che.png"))


@pytest.mark.parametrize("group", ["case_*", 2])
def test_a_group_stays_on_one_side(group: str | int) -> None:
    for case in range(20):
        for number in range(3):
            put(f"a/site/case_{case}/s{number}.png", 10 * case + number)
    found = sides("a", group=group, holdout=0.3)
    cases = {side: {path.split("/")[1] for path in paths} for side, paths in found.items()}
    assert not cases["train"] & cases["test"]
    assert len(found["test"]) == 3 * len(cases["test"]) > 0
    assert key_of(Path("loose.png"), group) == "loose.png"


@pytest.mark.parametrize("group", ["case_*", 2])
def test_groups_that_folders_put_on_both_sides_are_named(group: str | int) -> None:
    for side, cases in (("train", range(6)), ("Test", range(4, 8))):
        for case in cases:
            put(f"a/{side}/case_{case}/s.png", case)
    words = (
        r"a: 2 groups .data.group. are on both sides, by the names of folders .train and test.: case_4, case_5; what"
    )
    with pytest.warns(UserWarning, match=words):
        assert sizes("a", group=group) == (6, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sizes("a", group=1) == (6, 4)


def test_a_list_says_which_images_are_held_out() -> None:
    for number in range(10):
        put(f"a/{'x' if number < 5 else 'y'}/p{number}.png", number)
    Path("held.txt").write_bytes("\ufeffx/p1.png\r\n./x/p2.png\r\n\r\ny\r\n".encode())
    found = sides("a", test_list="held.txt")
    assert found["test"] == {"x/p1.png", "x/p2.png", *(f"y/p{number}.png" for number in range(5, 10))}
    Path("held.txt").write_bytes("x/p1.png\r\n./x/p2.png\r\ny\r\n".encode("utf-16"))
    assert sides("a", test_list="held.txt") == found
    Path("held.txt").write_bytes("x/p1.png".encode("utf-16-le"))
    with pytest.raises(ZooError, match="data.test_list: held.txt is not UTF-8 text"):
        sides("a", test_list="held.txt")
    Path("held.txt").write_text("x/p11.png\n")
    with pytest.raises(ZooError, match=r"names 1 that are not under a \('x/p11.png'\); did you mean 'x/p1.png'"):
        sides("a", test_list="held.txt")
    with pytest.raises(ZooError, match="cannot read nowhere.txt"):
        sides("a", test_list="nowhere.txt")
    os.mkfifo("pipe")
    with pytest.raises(ZooError, match="pipe is not a list"):
        sides("a", test_list="pipe")


def test_so_few_images_that_none_is_chosen() -> None:
    put("a/p1.png", 1)
    put("a/p2.png", 2)
    train, test = splits("a")
    assert (len(train), len(test)) == (1, 1)
    assert any("none of so few falls into that share" in note for note in train.notes)


def test_files_with_several_pages() -> None:
    for number in range(3):
        more = [image(40 * number + page) for page in range(1, 40)]
        put(f"a/s{number}.tif", 40 * number, save_all=True, append_images=more)
    with pytest.warns(UserWarning, match="3 files have several pages or frames, and only the first .* other 117"):
        assert sum(sizes("a")) == 3
    train, test = splits("a", pages="all")
    assert len(train) + len(test) == 120
    assert {len(train) % 40, len(test) % 40} == {0}  # the pages of a file are on one side
    assert len({tuple(row) for part in (train, test) for row in part.images.flatten(1).tolist()}) == 120


def test_the_report_counts_every_image(tmp_path: Path) -> None:
    for number in range(10):
        put(f"a/{'train' if number < 7 else 'test'}/p{number}.png", number)
    Path("a/train/broken.png").write_bytes(b"x")
    with pytest.warns(UserWarning, match="broken.png"):
        train, test = splits("a")
    assert train.notes[-1] == "train: 7 images (1 more cannot be read)"
    assert test.notes[-1] == "test: 3 images"
    assert train.notes[0] == "a: 11 image files"


def test_images_in_none_of_the_groups_are_said() -> None:
    for number in range(20):
        put(f"a/Patient_{number // 2}/p{number}.png", number)
    with pytest.warns(
        UserWarning, match=r"no image is in a folder called 'case_\*' \(data.group\), so each of them may be"
    ):
        splits("a", group="case_*")
    with pytest.warns(UserWarning, match="no image is 2 folders deep"):
        splits("a", group=2)
    put("a/loose.png", 30)
    with pytest.warns(UserWarning, match="1 of 21 images are not in a folder called 'Patient_"):
        splits("a", group="Patient_*")


@pytest.mark.filterwarnings("error")
def test_a_group_is_found_however_its_name_is_composed() -> None:
    for number in range(40):
        put(unicodedata.normalize("NFD", f"a/Fläche {number // 2}/p{number}.png"), number)
    held_out = sides("a", group=unicodedata.normalize("NFC", "Fläche *"))["test"]
    folders = [name.partition("/")[0] for name in held_out]
    assert folders and all(folders.count(folder) == 2 for folder in folders)


def test_classes_that_nothing_is_trained_on_are_named() -> None:
    for number in range(12):
        put(f"a/{'train' if number < 6 else 'test'}/{['Cat', 'Dog'][number % 2]}/p{number}.png", number)
    os.rename("a/test/Cat", "a/test/cat")
    assert "nothing to train on of 1 of the classes: cat (2)" in splits("a")[0].notes[-2]
    with pytest.warns(UserWarning, match=r"no images of 1 of the classes: Dgo \(2\)"):
        splits("a", classes=("Cat", "Dog", "Dgo"))


def test_names_of_tools_are_known_in_any_case_and_on_disks_of_a_network() -> None:
    for name in ("$Recycle.Bin", "__macosx", "LOST+FOUND", "#recycle", "@__thumb", "@eaDir"):
        put(f"a/{name}/p.png", 1)
    put("a/recycle/p.png", 2)
    assert [path.parent.name for path in images_at(Path("a")).paths] == ["recycle"]


def test_endings_with_more_after_them_and_those_of_rare_formats_are_said() -> None:
    put("a/p.png", 1)
    for name in ("p.png~", "p.jpg_large", "p.jpg?w=640", "p.png.json", "p.txt", "p.qoi", "p.nii.gz", "p.tar.gz"):
        Path("a", name).write_bytes(Path("a/p.png").read_bytes())
    os.replace("a/p.png", "a/p.mpo")  # as cameras call a JPEG file with previews
    found = images_at(Path("a"))
    assert [path.name for path in found.paths] == ["p.mpo"]
    assert {reason: [path.name for path in paths] for reason, paths in found.left_out.items()} == {
        "images with more after their ending; rename them to end in .jpg": ["p.jpg?w=640", "p.jpg_large"],
        "images with more after their ending; rename them to end in .png": ["p.png~"],
        "images of a kind that is not read (.nii.gz)": ["p.nii.gz"],
        "images of a kind that is not read (.qoi)": ["p.qoi"],
    }
