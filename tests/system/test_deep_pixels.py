"""Colours of 16 bits, images that unpack to a thousand times their size, and what libraries write to stderr."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers import python
from zoo.system import image_files, pixel_range
from zoo.system.image_files import Presentation, decode_or_reason, read_image
from zoo.system.image_scan import scan
from zoo.system.pixel_range import ValueHistogram, to_8_bits


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def png(header: tuple[int, ...], *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file: width, height, bits and type of colour, and its other chunks."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def png_of(pixels: np.ndarray) -> bytes:
    """Return the PNG file of 16 bits of pixels (H, W, C)."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return png((width, height, 16, {2: 4, 3: 2, 4: 6}[channels]), (b"IDAT", zlib.compress(rows)))


def tiff_of(pixels: np.ndarray) -> bytes:
    """Return the TIFF file of 16 bits of pixels (H, W, 3)."""
    height, width, _ = pixels.shape
    content = pixels.astype("<u2").tobytes()
    tags = [(256, width), (257, height), (258, 122), (259, 1), (262, 2), (273, 128), (277, 3), (278, height)]
    entries = [(tag, 3 if tag == 258 else 4, 3 if tag == 258 else 1, value) for tag, value in tags]
    entries.append((279, 4, 1, len(content)))
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + struct.pack("<3H", 16, 16, 16) + content


def shades(channels: int, most: int = 4095) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, most + 1, (16, 16, channels))


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("most", [4095, 65535])
def test_of_colours_of_16_bits_the_upper_8_are_read_in_the_range_of_the_values(kind: str, most: int) -> None:
    pixels = shades(3, most)
    Path(f"a.{kind}").write_bytes(png_of(pixels) if kind == "png" else tiff_of(pixels))
    found = scan([Path(f"a.{kind}")], "first")
    assert (found.deep, found.colours, found.range) == (1, 1, (0, most))
    assert "; of 1 in colour, only the upper 8 of 16 bits are read" in found.describe()[0]
    image = np.asarray(read_image(Path(f"a.{kind}"), Presentation((3, 16, 16), range=found.range)))
    assert np.array_equal(image, ((pixels >> 8) * 257 / most * 255).round().clip(0, 255).astype(np.uint8))


def test_transparency_is_not_stretched() -> None:
    pixels = np.full((16, 16, 4), 4095)
    pixels[..., 0], pixels[..., 3] = 0, 32768
    Path("a.png").write_bytes(png_of(pixels))
    image = np.asarray(read_image(Path("a.png"), Presentation((3, 16, 16), range=(0, 3855))))
    assert image.reshape(-1, 3).max(0).tolist() == [127, 255, 255]  # half red, on white
    pixels = shades(2)
    pixels[..., 1] = 65535
    Path("a.png").write_bytes(png_of(pixels))
    assert scan([Path("a.png")], "first").range == (0, 4095)


def test_a_value_that_a_grey_file_calls_transparent_is_white_and_not_counted() -> None:
    pixels = np.full((16, 16), 1000)
    pixels[:8], pixels[0, 0] = 60_000, 3000
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header, transparent = (16, 16, 16, 0), (b"tRNS", struct.pack(">H", 60_000))
    Path("a.png").write_bytes(png(header, transparent, (b"IDAT", zlib.compress(rows))))
    assert scan([Path("a.png")], "first").found == (1000, 3000)
    image = np.asarray(read_image(Path("a.png"), Presentation((1, 16, 16), range=(1000, 3000)))).squeeze()
    assert (image[0, 0], *np.unique(image[8:]), *np.unique(image[0, 1:])) == (255, 0, 255)
    image = np.asarray(read_image(Path("a.png"), Presentation((1, 16, 16), range=(0, 10_000)))).squeeze()
    assert image[0, 0] == 76 and image[15, 15] in (25, 26) and (image[1:8] == 255).all()


def test_a_large_image_of_16_bits_is_reduced_in_its_range(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.linspace(0, 4095, 90)[None, :, None].astype(int)
    Path("a.png").write_bytes(png_of(np.broadcast_to(x, (90, 90, 3))))
    presentation = Presentation((3, 8, 8), range=(0, 4095))
    whole = np.asarray(read_image(Path("a.png"), presentation)).astype(int)
    monkeypatch.setattr(image_files, "LARGE", 1000)
    assert np.abs(np.asarray(read_image(Path("a.png"), presentation)).astype(int) - whole).max() <= 12


def test_many_values_are_counted_and_scaled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(70, 31)).astype(np.float32)
    values[3, 3] = np.nan
    whole, parts, counted, one_by_one = (ValueHistogram() for _ in range(4))
    whole.add(values)
    counted.add(shades(3, 65535).astype(np.uint16))
    one_by_one.add(shades(3, 65535))
    assert (counted.found, counted.whole) == (one_by_one.found, True)
    assert np.array_equal(counted.counts, one_by_one.counts)
    assert np.array_equal(counted.highest, one_by_one.highest)
    scaled = to_8_bits(values, (-1, 1))
    monkeypatch.setattr(pixel_range, "PART", 100)
    assert pixel_range.parts_of(values) == 21
    parts.add(values)
    assert (parts.found, parts.undefined, parts.whole) == (whole.found, 1, False)
    assert np.array_equal(parts.counts, whole.counts)
    assert np.array_equal(to_8_bits(values, (-1, 1)), scaled)


def test_what_libtiff_finds_is_in_the_report_and_not_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(shades(3, 255).astype(np.uint8)).save("a.tif", compression="tiff_lzw")
    content = bytearray(Path("a.tif").read_bytes())
    content[20:400] = bytes(380)
    Path("a.tif").write_bytes(content)
    reason = decode_or_reason(Path("a.tif"), Presentation((3, 16, 16)))
    assert reason == "its content is damaged or cut off (decoder error -2)"
    assert capfd.readouterr().err == ""


SIDE = 11_500

BOMBS: dict[str, Any] = {
    "palette with transparency": ((SIDE, SIDE, 8, 3), SIDE, [(b"PLTE", bytes(768)), (b"tRNS", bytes(256))]),
    "grey of 16 bits": ((SIDE, SIDE, 16, 0), 2 * SIDE, []),
    "RGBA of 16 bits": ((SIDE, SIDE, 16, 6), 8 * SIDE, []),
}
"""Images of as many pixels as are read: their headers, the bytes of a row, other chunks."""

MEASURE = """
import resource, sys, threading
from pathlib import Path
from zoo.system.image_files import Presentation, decode_or_reason
from zoo.system.image_scan import scan
Path("warm.png").write_bytes(Path("small.png").read_bytes())
scan([Path("warm.png")], "first"), decode_or_reason(Path("warm.png"), Presentation((3, 32, 32)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
paths = [Path("bomb.png")] * 2
found = scan(paths, "first")
threads = [threading.Thread(target=lambda: shapes.append(decode_or_reason(paths[0], Presentation((3, 32, 32))).shape))
           for _ in paths]
shapes = []
[thread.start() for thread in threads], [thread.join() for thread in threads]
assert shapes == [(3, 32, 32)] * 2, shapes
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="the most memory of a process is in KiB on Linux")
@pytest.mark.parametrize("kind", BOMBS)
def test_the_memory_that_two_threads_take_for_an_image_that_unpacks_to_a_thousand_times_its_size(kind: str) -> None:
    header, row, chunks = BOMBS[kind]
    packer = zlib.compressobj(1)
    rows = b"".join([packer.compress(bytes(row + 1)) for _ in range(SIDE)] + [packer.flush()])
    Path("bomb.png").write_bytes(png(header, *chunks, (b"IDAT", rows)))
    Path("small.png").write_bytes(png_of(shades(4)))
    Path("measure.py").write_text(MEASURE)
    result = python("measure.py", cwd=Path())
    assert result.returncode == 0, result.stderr
    mib = int(result.stdout) / 1024
    print(f"{kind}: {Path('bomb.png').stat().st_size / 2**10:,.0f} KiB, {mib:,.0f} MiB")
    assert mib < 1100
