"""Shards of WebDataset: keys, labels and sides; and tar files that are not what they seem."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import dataset
from zoo.datasets import ImageSet, load_images
from zoo.datasets._folder_split import position
from zoo.errors import ZooError
from zoo.schema.base import DatasetConfig
from zoo.system import tar_files
from zoo.system.tar_files import members_of


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def image_bytes(shade: int, size: tuple[int, int] = (12, 10), format: str = "png") -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).point([max(0, value - shade) for value in range(256)]).save(buffer, format)
    return buffer.getvalue()


def shard(path: str, files: Mapping[str, bytes | str | tarfile.TarInfo]) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            content = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return Path(path)


def shards(samples: int = 40, per_shard: int = 16) -> None:
    """Write shards of images, each with its number modulo 3 as its class and whether it is odd as a word."""
    for start in range(0, samples, per_shard):
        files: dict[str, bytes | str] = {}
        for number in range(start, min(start + per_shard, samples)):
            files[f"{number:06}.png"] = image_bytes(number)
            files[f"{number:06}.cls"] = f"{number % 3}\n"
            files[f"{number:06}.json"] = json.dumps({"kind": ("even", "odd")[number % 2], "n": number})
        shard(f"shards/{start // per_shard:06}.tar", files)


def config_of(path: str = "shards/*.tar", **settings: object) -> DatasetConfig:
    return dataset("webdataset", **{"path": path, "size": (10, 12), "channels": 1, "fit": "stretch"} | settings)


def sides(config: DatasetConfig) -> tuple[ImageSet, ImageSet]:
    return load_images(config, "train"), load_images(config, "test")


def numbers(images: ImageSet) -> list[int]:
    """Return the number of each image, which is what its brightest pixels lack of those of the first."""
    brightest = Image.open(io.BytesIO(image_bytes(0))).getextrema()[1]
    return [int(brightest) - int(image.max()) for image in images.images]


def test_keys_decide_on_the_side_and_labels_stand_beside_images() -> None:
    shards()
    train, test = sides(config_of(holdout=0.25))
    held_out = [number for number in range(40) if position(f"{number:06}") < 0.25]
    assert numbers(test) == held_out
    assert numbers(train) == sorted(set(range(40)) - set(held_out))
    assert train.labels is not None and train.labels.tolist() == [number % 3 for number in numbers(train)]
    (train, test), config = sides(config_of(label="json.kind", path="shards")), config_of(label="json.kind")
    assert test.labels is not None and test.labels.tolist() == [number % 2 for number in numbers(test)]
    assert config.class_names == ("even", "odd")
    assert config.counted() == (len(train), len(test), list(dict.fromkeys(config.counted()[2])))  # type: ignore[index]


def test_what_shards_an_image_is_in_does_not_decide_on_its_side() -> None:
    shards(per_shard=16)
    before = numbers(load_images(config_of(), "test"))
    for path in Path("shards").iterdir():
        path.unlink()
    shards(per_shard=7)
    assert numbers(load_images(config_of(), "test")) == before


def test_names_of_shards_say_which_side_they_are_on() -> None:
    for name, first in (("digits-train-0000", 0), ("digits-train-0001", 5), ("digits-val-0000", 10)):
        shard(f"shards/{name}.tar", {f"{n}.png": image_bytes(n) for n in range(first, first + 5)})
    train, test = sides(config_of())
    assert (sorted(numbers(train)), sorted(numbers(test))) == (list(range(10)), list(range(10, 15)))
    assert any("by the names of folders and shards (train and val)" in note for note in train.notes)


def test_classes_of_a_recipe_keep_their_order_and_leave_out_the_others() -> None:
    shards()
    with pytest.warns(UserWarning, match="images without a label of data.classes"):
        train = load_images(config_of(classes=("2", "0")), "train")
    assert train.labels is not None
    assert [(2, 0)[label] for label in train.labels.tolist()] == [number % 3 for number in numbers(train)]
    assert load_images(config_of(classes=()), "train").labels is None
    resolved = config_of().resolved(labels=True)
    assert resolved.class_names == ("0", "1", "2") and config_of().resolved(labels=False).classes is None  # type: ignore[attr-defined]


def test_the_image_of_several_is_chosen() -> None:
    shard(
        "one.tar", {f"{n}.{kind}.png": image_bytes(n + shift) for n in range(9) for kind, shift in (("a", 0), ("b", 9))}
    )
    assert sorted(numbers(load_images(config_of("one.tar", image="b.png"), "train")))[-1] == 17
    with pytest.raises(ZooError, match=r"each sample has several \(a.png, b.png\); data.image chooses one"):
        load_images(config_of("one.tar"), "train")
    with pytest.raises(ZooError, match=r"data.image is 'c.png'; did you mean 'a.png' or 'b.png'\?|'b.png' or 'a.png'"):
        load_images(config_of("one.tar", image="c.png"), "train")


def test_damaged_images_and_members_of_other_kinds_are_left_out_with_a_reason() -> None:
    link = tarfile.TarInfo("link.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    pipe = tarfile.TarInfo("pipe.png")
    pipe.type = tarfile.FIFOTYPE
    shard("one.tar", {
        **{f"{n}.png": image_bytes(n) for n in range(20)}, "broken.png": b"no image", "link.png": link,
        "pipe.png": pipe, "../up.png": image_bytes(0), "/top.png": image_bytes(0), ".hidden.png": image_bytes(0),
    })  # fmt: skip
    members, left_out = members_of(Path("one.tar"))
    assert len(members) == 21
    assert {reason: list(map(str, names)) for reason, names in left_out.items()} == {
        tar_files.LINK: ["link.png"], tar_files.SPECIAL: ["pipe.png"], tar_files.HIDDEN: [".hidden.png"],
        tar_files.OUTSIDE: ["../up.png", "/top.png"],
    }  # fmt: skip
    with pytest.warns(UserWarning) as caught:
        train, test = sides(config_of("one.tar"))
    assert len(train) + len(test) == 20
    told = " ".join(str(warning.message) for warning in caught)
    assert "one.tar/broken.png" in told and "links" in told and not list(Path().glob("**/up.png"))


def test_a_second_file_with_the_same_ending_is_named() -> None:
    shard("twice/0.tar", {f"{n}.{e}": image_bytes(n + (e == "PNG")) for n in range(12) for e in ("png", "PNG")})
    with pytest.warns(UserWarning, match="left out 12 .*0.tar/0.PNG, .*: a second file of a sample"):
        train, test = sides(config_of("twice/*.tar"))
    assert len(train) + len(test) == 12


def test_a_field_without_any_value_is_not_said_to_be_missing() -> None:
    shard(
        "null/0.tar", {f"{n}.{e}": c for n in range(9) for e, c in (("png", image_bytes(n)), ("json", '{"l": null}'))}
    )
    with pytest.raises(ZooError, match="data.label: 'json.l' has no value in any sample"):
        sides(config_of("null/*.tar", label="json.l"))


def test_a_damaged_tar_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = shard("one.tar", {f"{n}.png": image_bytes(n) for n in range(4)}).read_bytes()
    header = whole.index(b"2.png")
    damaged = {
        "cut in an image": whole[: header + 520],
        "cut in a header": whole[: header + 100],
        "a header that is none": whole[:header] + b"\xff" * 512 + whole[header + 512 :],
        "a negative size": whole[:header] + _with_size(whole[header : header + 512], -4096) + whole[header + 512 :],
        "text": b"no tar file\n" * 100,
        "nothing": b"",
    }
    for content in damaged.values():
        Path("bad.tar").write_bytes(content)
        with pytest.raises(ZooError, match="cannot read the tar file bad.tar"):
            members_of(Path("bad.tar"))
    monkeypatch.setattr(tar_files, "MAX_MEMBERS", 3)
    with pytest.raises(ZooError, match="more than 3 files"):
        members_of(Path("one.tar"))


def _with_size(header: bytes, size: int) -> bytes:
    """Return a header with another size, in base 256, and the checksum for it."""
    changed = header[:124] + (size % 256**12 | (0x80 << 88 if size >= 0 else 0)).to_bytes(12, "big") + header[136:]
    total = sum(changed[:148]) + sum(changed[156:512]) + 8 * 32
    return changed[:148] + f"{total:06o}\0 ".encode() + changed[156:]


def test_what_is_missing_is_said_in_one_line_with_what_there_is() -> None:
    shards()
    shard("text.tar", {"1.txt": "hello"})
    Path("packed.tar.gz").write_bytes(b"")
    for settings, message in [
        ({"path": "shard/*.tar"}, "there is no tar file under"),
        ({"path": "shards/{000000..000002}.tar"}, r"write shards/\*.tar for it"),
        ({"path": "packed.tar.gz"}, "unpack it with gunzip"),
        ({"path": "text.tar"}, "no image is read in 1 tar file"),
        ({"label": "json.kin"}, "data.label: no sample has 'json.kin'; did you mean 'json.kind'"),
        ({"label": "clss"}, "did you mean 'cls'"),
        ({"label": "png"}, "cannot be read"),
        ({"classes": ("a", "b")}, "data.classes: cls in the shards has no 'a'; known: 0, 1, 2"),
    ]:
        with pytest.raises(ZooError, match=message) as caught:
            load_images(config_of(**settings), "train")  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
