"""Decoding image files: bounded memory, damaged metadata, the cache of a folder."""

from __future__ import annotations

import json
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers import command, dataset
from zoo.datasets import _decode, _image_files, load_images
from zoo.errors import ZooError
from zoo.system import image_files
from zoo.system.image_files import MAX_PIXELS, Presentation, decode_or_reason, read_image
from zoo.system.memory_budget import MemoryBudget


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "zoo-data"))
    monkeypatch.chdir(tmp_path)


def smooth(width: int, height: int) -> Image.Image:
    """A gradient in every channel, so that resizing in any way gives nearly the same."""
    x, y = np.linspace(0, 255, width), np.linspace(0, 255, height)
    pixels = np.stack(np.broadcast_arrays(x[None], y[:, None], 255 - x[None]), axis=-1)
    return Image.fromarray(pixels.round().astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16"])
def test_a_large_image_is_reduced_in_strips_to_the_same(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = smooth(900, 700)
    image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257) if mode == "I;16" else (
        image.convert(mode)
    )  # fmt: skip
    image.save("a.png")
    presentation = Presentation((3, 32, 32))
    expected = decode_or_reason(Path("a.png"), presentation)
    monkeypatch.setattr(image_files, "LARGE", 1000)
    monkeypatch.setattr(image_files, "STRIP_PIXELS", 20_000)
    reduced = decode_or_reason(Path("a.png"), presentation)
    assert isinstance(expected, np.ndarray) and isinstance(reduced, np.ndarray)
    assert np.abs(expected.astype(int) - reduced.astype(int)).max() <= 12  # a palette has steps
    assert np.abs(expected.astype(int) - reduced.astype(int)).mean() < 1


def test_a_large_photograph_is_decoded_at_a_fraction_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth(900, 700).save("a.jpg", exif=exif)
    expected = read_image(Path("a.jpg"), Presentation((3, 32, 32)))
    monkeypatch.setattr(image_files, "LARGE", 1000)
    reduced = read_image(Path("a.jpg"), Presentation((3, 32, 32)))
    assert np.abs(np.asarray(expected).astype(int) - np.asarray(reduced).astype(int)).max() <= 6


def test_an_image_of_too_many_pixels_is_named_and_not_decoded() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    row = zlib.compress(b"\0" * 100)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", row), (b"IEND", b"")]
    Path("pics").mkdir()
    Path("pics/bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ))  # fmt: skip
    for number in range(12):
        smooth(16, 16 + number).save(f"pics/p{number}.png")
    config = dataset("image_folder", path="pics", size=16)
    with pytest.warns(UserWarning, match=r"bomb.png: 11,586 x 11,586 pixels are more than 134,217,728"):
        assert sum(len(load_images(config, split)) for split in ("train", "test")) == 12


def test_want_of_memory_is_no_fault_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    config = folder()

    def no_memory(*_: object) -> Image.Image:
        raise MemoryError

    monkeypatch.setattr(_image_files, "read_image", no_memory)
    with pytest.raises(MemoryError):
        load_images(config, "train")


@pytest.mark.parametrize("ending", ["png", "webp", "jpg"])
def test_damaged_exif_data_costs_no_image(ending: str) -> None:
    smooth(16, 16).save(f"a.{ending}", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    assert isinstance(decode_or_reason(Path(f"a.{ending}"), Presentation((3, 16, 16))), np.ndarray)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_does(orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth(16, 16).save("a.png", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open("a.png")))
    assert np.array_equal(np.asarray(read_image(Path("a.png"), Presentation((3, 16, 16)))), expected)


def test_threads_share_a_bounded_amount_of_memory() -> None:
    budget, lock = MemoryBudget(10), threading.Lock()
    taken, most = 0, 0

    def take(amount: int) -> None:
        nonlocal taken, most
        with budget.reserved(amount):
            with lock:
                taken += min(amount, 10)
                most = max(most, taken)
            time.sleep(0.001)
            with lock:
                taken -= min(amount, 10)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, [3, 4, 5, 99, 1] * 8))  # 99 has everything to itself
    assert 3 <= most <= 10
    assert budget.free == 10


def folder(count: int = 12) -> Any:
    Path("pics").mkdir(exist_ok=True)
    for number in range(count):
        smooth(16, 16 + number).save(f"pics/p{number}.png")
    return dataset("image_folder", path="pics", size=16)


def decoded() -> dict[str, int]:
    return {path.name: path.stat().st_size for path in Path("zoo-data/decoded").iterdir()}


def test_what_was_decoded_of_a_folder_is_replaced_when_it_changes() -> None:
    for count in (12, 13, 14):
        config = folder(count)
        total = sum(len(load_images(config, split)) for split in ("train", "test"))
        assert total == count
        assert sum(size for name, size in decoded().items() if name.endswith(".uint8")) == count * 16 * 16 * 3
    assert len(decoded()) == 4
    load_images(dataset("image_folder", path="pics", size=8), "train")  # other settings are another cache
    assert len(decoded()) == 6


def test_images_that_another_process_replaces_meanwhile_are_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    original, times = _decode.map_file, []

    def removed(path: Path, *arguments: Any) -> Any:
        times.append(path)
        if len(times) == 1:
            path.unlink()
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return original(path, *arguments)

    monkeypatch.setattr(_decode, "map_file", removed)
    assert len(load_images(folder(), "train")) and len(times) == 2

    def always(path: Path, *arguments: Any) -> Any:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(_decode, "map_file", always)
    with pytest.raises(ZooError, match="pics, train decoded: another process removes them"):
        load_images(folder(), "train")


def test_a_flipped_bit_in_the_cache_is_noticed() -> None:
    config = folder()
    before = load_images(config, "train").digest
    (file,) = (path for path in Path("zoo-data/decoded").iterdir() if path.name.endswith(".uint8"))
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    assert load_images(config, "train").digest == before


def test_four_threads_decode_the_same_folder_at_once() -> None:
    config = folder()
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(lambda _: load_images(config, "train").digest, range(4)))
    assert len(set(digests)) == 1


def test_the_cache_is_listed_and_deleted_by_source() -> None:
    config = folder()
    kept = [len(load_images(config, split)) for split in ("train", "test")]
    decoded_folder = Path("zoo-data/decoded")
    (decoded_folder / "mine.uint8").write_bytes(b"not the zoo's")
    (decoded_folder / f"folder-{'0' * 32}.uint8").write_bytes(b"of an earlier version")
    listed = json.loads(command("cache", "--json", cwd=Path()).stdout)["kept"]
    assert [row["images"] for row in listed] == [kept[1], kept[0], None]
    assert [row["source"] for row in listed[:2]] == [
        f"{Path('pics').resolve()}, {split}" for split in ("test", "train")
    ]
    assert "12" not in command("cache", "nowhere", cwd=Path()).stdout
    assert command("cache", "nowhere", cwd=Path()).returncode == 2
    assert "pics" in command("cache", cwd=Path()).stdout
    assert command("cache", "./pics", "--clear", cwd=Path()).returncode == 0
    assert set(decoded()) == {"mine.uint8", f"folder-{'0' * 32}.uint8"}
    assert "deleted 0.0 MiB" in command("cache", "--clear", cwd=Path()).stdout
    assert set(decoded()) == {"mine.uint8"}
    assert "nothing is kept" in command("cache", cwd=Path()).stdout
