"""Images named by a folder, a zip of it, a pattern or a single file: all are taken wherever one is."""

from __future__ import annotations

import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.helpers import command, dataset
from zoo.datasets import ImageSet, load_images
from zoo.entries.trained_model import TrainedModel
from zoo.errors import ZooError
from zoo.inference.image_stream import open_images
from zoo.models import Autoencoder
from zoo.system import zip_files
from zoo.system.image_sources import images_at, names_images
from zoo.system.wildcards import PathPattern


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def put(*paths: str) -> None:
    for number, path in enumerate(paths):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").rotate(7 * number).resize((16, 16)).save(path)


def zipped(path: str, folder: str, below: str = "", **options: Any) -> Path:
    """Write a zip of a folder, whose paths begin with ``below``."""
    with zipfile.ZipFile(path, "w", **options) as file:
        for found in sorted(Path(folder).rglob("*")):
            file.write(found, below + found.relative_to(folder).as_posix())
    return Path(path)


def both(path: str) -> tuple[ImageSet, ImageSet]:
    config = dataset("image_folder", path=path, size=16, channels=1)
    return load_images(config, "train"), load_images(config, "test")


def found(source: str) -> list[str]:
    return [path.as_posix() for path in images_at(Path(source)).paths]


TWENTY = [f"pics/{kind}/p{number}.png" for kind in ("cat", "dog") for number in range(10)]


@pytest.mark.parametrize("below", ["", "pics/", "another/"])
def test_a_zip_is_like_the_folder_that_it_was_made_of(below: str) -> None:
    put(*TWENTY)
    folder, packed = both("pics"), both(str(zipped("pics.zip", "pics", below, compression=zipfile.ZIP_DEFLATED)))
    for a, b in zip(folder, packed, strict=True):
        assert a.digest == b.digest
        assert a.labels is not None and b.labels is not None and a.labels.tolist() == b.labels.tolist()
    assert sum(map(len, packed)) == 20


def test_folders_of_splits_in_a_zip_are_the_splits() -> None:
    put(*(f"pics/Train/p{number}.png" for number in range(7)), *(f"pics/testing/q{number}.png" for number in range(3)))
    assert list(map(len, both(str(zipped("pics.zip", "pics"))))) == [7, 3]
    assert list(map(len, both(str(zipped("deep.zip", "pics", "deep/pics/"))))) == [7, 3]


def test_what_is_left_out_of_a_zip_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    put("pics/a.png", "pics/b.png")
    content = Path("pics/a.png").read_bytes()
    monkeypatch.setattr(zip_files, "MAX_MEMBER_BYTES", len(content) + 1)
    with zipfile.ZipFile("pics.zip", "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the name that is there twice
        for name in ("a.png", "../up.png", "/root.png", "C:/drive.png", "x/../y.png", "a.png", "deep\\b.png"):
            file.writestr(name, content)
        file.writestr("__MACOSX/._a.png", content)
        file.writestr("notes.txt", "hello")
        file.writestr("photo.nef", b"raw")
        file.writestr("large.png", content + bytes(9))
        file.writestr("packed.png", content, zipfile.ZIP_LZMA)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    files = images_at(Path("pics.zip"))
    assert [path.as_posix() for path in files.paths] == ["pics.zip/a.png", "pics.zip/deep/b.png"]
    left_out = {reason: sorted(path.name for path in paths) for reason, paths in files.left_out.items()}
    assert left_out == {
        zip_files.OUTSIDE: ["drive.png", "root.png", "up.png", "y.png"],
        zip_files.TWICE: ["a.png"],
        zip_files.LARGE: ["large.png"],
        zip_files.OTHER_COMPRESSION: ["packed.png"],
        zip_files.LINK: ["link.png"],
        zip_files.HIDDEN: ["._a.png"],
        "images of a kind that is not read (.nef)": ["photo.nef"],
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        files.warn()
    assert "pics.zip: left out 4 (" in str(caught[0].message) and len(caught) == len(left_out) - 1
    assert not Path("data").exists() and {path.name for path in Path().iterdir()} == {"pics", "pics.zip"}


def test_a_zip_with_a_password_is_said_to_have_one() -> None:
    put("pics/a.png")
    content = bytearray(zipped("pics.zip", "pics").read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + flags] |= 1
    Path("pics.zip").write_bytes(content)
    with pytest.raises(ZooError, match=r"left out 1 \(a.png\): protected by a password; unpack the zip file"):
        images_at(Path("pics.zip"))


def test_a_file_in_a_zip_takes_no_more_memory_than_it_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(2**24))
    content = bytearray(Path("bomb.zip").read_bytes())
    for signature, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", content, content.index(signature) + place, 1000)
    Path("bomb.zip").write_bytes(content)
    asked: list[int] = []
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda file, size=-1: asked.append(size) or read(file, size))
    with pytest.raises(zipfile.BadZipFile, match="CRC"), zip_files.contents(Path("bomb.zip/a.png")):
        pass
    assert asked == [1000]


def test_zips_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("no.zip").write_bytes(b"PK no zip")
    with pytest.raises(ZooError, match=r"cannot read the zip file no.zip: .*; unpack it and name the folder"):
        images_at(Path("no.zip"))
    put("pics/a.png", "pics/b.png")
    zipped("pics.zip", "pics")
    monkeypatch.setattr(zip_files, "MAX_MEMBERS", 1)
    zip_files._opened.cache_clear()
    with pytest.raises(ZooError, match="its 2 files with 0 GiB are too many"):
        images_at(Path("pics.zip"))
    monkeypatch.setattr(zip_files, "MAX_LIST_BYTES", 20)
    monkeypatch.setattr(zip_files, "MAX_MEMBER_BYTES", 20)
    with pytest.raises(ZooError, match="its list of files is too long"):
        images_at(Path("pics.zip"))


def test_a_damaged_image_in_a_zip_is_skipped_and_named(model: Autoencoder) -> None:
    put("pics/a.png", "pics/b.png")
    content = bytearray(zipped("pics.zip", "pics").read_bytes())
    content[content.index(b"IDAT") + 9] ^= 1
    Path("pics.zip").write_bytes(content)
    with pytest.warns(UserWarning, match="skipped 1 of 2 images:\n.*pics.zip/a.png: Bad CRC-32 for file 'a.png'"):
        (batch,) = open_images("./pics.zip", model).batches(5)
    assert batch.names == ["pics.zip/b.png"]


def test_a_zip_that_changes_is_read_again() -> None:
    put("pics/a.png", "pics/b.png", "pics/c.png")
    zipped("pics.zip", "pics")
    before = both("pics.zip")
    put("pics/c.png", "pics/a.png", "pics/b.png")
    zipped("pics.zip", "pics")
    assert both("pics.zip")[0].digest != before[0].digest
    assert len(list(Path("data/decoded").glob("*.json"))) == 2  # what was decoded before is replaced


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("pics/*.png", ["pics/1.png", "pics/2.png"]),
        ("./pics/[1-9].*", ["pics/1.png", "pics/2.png", "pics/3.bmp"]),
        ("pics/**/*.png", ["pics/1.png", "pics/2.png", "pics/a/1.png", "pics/b/c/1.png"]),
        ("pics/**/**/c/**/**/1.*", ["pics/b/c/1.png"]),
        ("pics/?", ["pics/a/1.png", "pics/b/c/1.png"]),  # folders stand for what is in them
        ("*/a/*", ["pics/a/1.png"]),
        ("pics [x]/*.png", ["pics [x]/1.png"]),  # a folder that is there is no pattern
    ],
)
def test_patterns(pattern: str, expected: list[str]) -> None:
    put("pics/1.png", "pics/2.png", "pics/3.bmp", "pics/a/1.png", "pics/b/c/1.png", "pics/.hidden/1.png")
    put("pics [x]/1.png", "pics x/1.png")
    assert found(pattern) == expected


def test_a_pattern_looks_only_where_something_can_match(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = PathPattern(Path("pics/a*/b/*.png"))
    assert pattern.may_hold(Path(".")) and pattern.may_hold(Path("pics/ab")) and pattern.may_hold(Path("pics/ab/b"))
    assert not pattern.may_hold(Path("pics/b")) and not pattern.may_hold(Path("pics/ab/c"))
    assert PathPattern(Path("pics/**/x")).may_hold(Path("pics/b/c/d"))
    assert not PathPattern(Path("pics/" + "**/" * 60 + "x")).matches(Path("pics/" + "a/" * 60))


def test_a_pattern_that_nothing_matches_and_files_that_are_no_images(model: Autoencoder) -> None:
    put("pics/1.png")
    Path("pics/notes.txt").write_text("hello")
    for source, expected in {
        "./pics/*.jpg": r"there are no images under pics/\*.jpg",
        "./nowhere/*.jpg": r"there are no images under nowhere/\*.jpg",
        "./pics/notes.txt": "pics/notes.txt is no image that is read here, nor a zip file of images",
        "./pics/2.png": "there is no file pics/2.png",
        "./2": "there is no folder 2",
    }.items():
        with pytest.raises(ZooError, match=expected):
            open_images(source, model)


def test_every_verb_takes_every_kind(model: Autoencoder, trained: Path) -> None:
    put("pics/cat/1.png", "pics/cat/2.png", "pics/dog/3.png")
    zipped("pics.zip", "pics")
    assert list(map(names_images, ("pics.zip", "a/b.PNG", "a/*", "pics.zip:cat", "mnist", "mnist/train:0-4"))) == [
        *[True] * 4,
        *[False] * 2,
    ]
    for source, names in {
        "pics.zip": ["pics.zip/cat/1.png", "pics.zip/cat/2.png", "pics.zip/dog/3.png"],
        "./pics.zip:dog": ["pics.zip/dog/3.png"],
        "pics/cat/*.png": ["pics/cat/1.png", "pics/cat/2.png"],
        "pics/*/*.png:dog": ["pics/dog/3.png"],
        "pics/cat/2.png": ["pics/cat/2.png"],
    }.items():
        (batch,) = open_images(source, model).batches(5)
        assert batch.names == names
    result = command("reconstruct", trained, "pics/cat/1.png", "--out", "one", cwd=Path())
    assert (result.returncode, [path.name for path in Path("one").iterdir()]) == (0, ["000000-1.png"]), result.stderr
    assert len(TrainedModel(trained, data="pics.zip").test) == 1  # the one that is held out


def test_an_output_is_not_among_the_images(trained: Path) -> None:
    put("pics/1.png", "pics/2.png")
    for images, out in {
        "./pics/*.png": "pics/x.png",
        "./pics/1.png": "pics/1.png",
        "pics/[12].*": "pics/1.png",
    }.items():
        result = command("anomaly", trained, images, "--sheet", out, cwd=Path())
        assert (result.returncode, "is among the images of" in result.stderr) == (2, True), result.stderr


def test_a_pattern_that_a_shell_has_expanded_is_explained(trained: Path) -> None:
    put("pics/1.png", "pics/2.png")
    result = command("reconstruct", trained, "pics/1.png", "pics/2.png", "--out", "x", cwd=Path())
    assert result.returncode == 2
    assert "a pattern of files needs quotes, as in './images/*.png'" in result.stderr


def test_a_dry_run_counts_without_decoding(recipe_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(*(f"pics/train/p{number}.png" for number in range(7)), *(f"pics/test/q{number}.png" for number in range(3)))
    Path("pics/train/broken.png").write_bytes(b"x")

    def refuse(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(Image.Image, "convert", refuse)
    monkeypatch.setattr("zoo.datasets._image_files.decode_all", refuse)
    for source in ("pics", str(zipped("pics.zip", "pics"))):
        result = command(
            "train", recipe_file(data={"name": "image_folder", "path": source, "size": 16}), "--dry-run", cwd=Path()
        )
        assert result.returncode == 0, result.stderr
        for line in (
            "11 image files",
            "train: 7 images (1 more cannot be read)",
            "test: 3 images",
            "counted by the headers of the files; those that are cut off further on show when they are decoded",
            "7 training images, 1 steps an epoch",
        ):
            assert line in result.stdout
