"""Codes as files: there and back, and whatever else someone may hand in."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from tests.helpers import command
from zoo.errors import ZooError
from zoo.inference.image_stream import open_images
from zoo.models.autoencoder import Autoencoder
from zoo.system.files import sha256
from zoo.tasks.code_file import MAGIC, CodeFile, pack, read, unpack
from zoo.tasks.compression import compress, decompress
from zoo.tasks.features import encode


@pytest.mark.parametrize("name", ["beta_vae_1_glyphs", "ae_mnist", "vq_vae_fashion_mnist", "conditional_vae_mnist"])
def test_codes_come_back_and_decode_to_the_same_images(name: str) -> None:
    model = zoo.load(name)
    pictures = open_images("glyphs", model)
    found = compress(model, pictures)
    images = torch.cat(list(decompress(unpack(found.content), model)))
    x = torch.cat([batch.images for batch in pictures.batches(1000)]).float() / 255
    assert images.shape == x.shape
    assert float((images - x).square().mean()) == pytest.approx(found.mse, rel=1e-4)
    assert found.bits_per_image == 8 * len(found.content) / len(x)
    header = unpack(found.content).header
    assert (header.entry, header.images) == (name, len(x))


def test_a_smaller_step_costs_more_bits_and_less_error(model: Autoencoder) -> None:
    pictures = open_images("glyphs", model)
    found = [compress(model, pictures, step) for step in (2.0, 1.0, 0.5, 0.25)]
    bits, errors = [one.bits_per_image for one in found], [one.mse for one in found]
    assert bits == sorted(bits)
    assert errors == sorted(errors, reverse=True)
    # Within a few per cent of the entropy of the rounded codes, were the dimensions independent.
    codes = np.round(encode(model, pictures).codes / 0.25).astype(int)
    entropy = 0.0
    for dimension in codes.T:
        share = np.unique(dimension, return_counts=True)[1] / len(dimension)
        entropy -= float((share * np.log2(share)).sum())
    assert bits[-1] < 1.2 * entropy + 8 * 1000 / len(codes)


def test_other_weights_and_damaged_and_foreign_files_are_refused(model: Autoencoder) -> None:
    content = compress(model, open_images("glyphs", model), 1.0).content
    with pytest.raises(ZooError, match="made with the weights .* of beta_vae_1_glyphs; those of beta_vae_4_glyphs"):
        next(decompress(unpack(content), zoo.load("beta_vae_4_glyphs")))
    for damaged in (content[:-1], content[:100], content[:200] + b"x" + content[201:], content + b"x"):
        with pytest.raises(ZooError, match="damaged or not whole"):
            unpack(damaged)
    for foreign in (b"", b"\x89PNG\r\n\x1a\n" + b"x" * 100, b"PK\x03\x04" * 20):
        with pytest.raises(ZooError, match="no file of compressed images"):
            unpack(foreign)
    with pytest.raises(ZooError, match="version 01 of the format; this zoo reads version 02"):
        unpack(MAGIC[:3] + b"\x01" + content[4:])
    with pytest.raises(ZooError, match="too small for these codes"):
        compress(model, open_images("glyphs", model), 1e-9)


def test_the_commands_there_and_back(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "codes.aez"
    done = command("compress", "beta_vae_1_glyphs", folder, "--out", file, "--json", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 11
    done = command("decompress", file, "--out", tmp_path / "back", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [f"{n:02}.png" for n in range(11)]
    for arguments, expected in (
        ((folder / "00.png", "--out", tmp_path / "x"), "00.png: this is no file of compressed images"),
        ((file, "--out", tmp_path / "back"), "is there already and not empty"),
        ((file, "--out", tmp_path / "x", "--model", "ae_mnist"), "would decode it to something else"),
        ((tmp_path / "none", "--out", tmp_path / "x"), "there is no file"),
    ):
        done = command("decompress", *arguments)
        assert done.returncode == 2
        assert re.search(expected, done.stderr), done.stderr


# --- files that lie


def forged(fields: object, body: bytes) -> bytes:
    """A file with this header and the right sha256: whoever writes a file can make that."""
    text = (fields if isinstance(fields, str) else json.dumps(fields)).encode()
    content = MAGIC + len(text).to_bytes(4, "little") + text + body
    return content + bytes.fromhex(sha256(content))


def body_of(content: bytes) -> bytes:
    """The coded blocks of a file."""
    return content[8 + int.from_bytes(content[4:8], "little") : -32]


LIES: list[tuple[dict[str, object], dict[str, object], str]] = [
    ({"images": 2**31}, {}, "images: input should be less than or equal to 10000000"),
    ({"images": 0}, {}, "images: input should be greater than 0"),
    ({"images": 10**7}, {}, "too short for the 10,000,000 images"),
    ({"images": 501}, {}, "holds more than the 501 images"),
    ({"images": 500}, {}, "holds more than the 500 images"),
    ({"image_shape": [1, 2, 3]}, {}, "does not hold codes of beta_vae_1_glyphs"),
    ({"labels": [5]}, {}, "does not hold codes of"),
    ({"entry": "../x"}, {}, "entry: string should match pattern"),
    ({"more": 1}, {}, "more: unknown field"),
    ({"code": {"kind": "x"}}, {}, "unknown name 'x'"),
    ({"code": {"kind": "indices", "grid": [2**10, 2**10], "counts": [0]}}, {}, "does not hold codes of"),
    ({}, {"means": []}, "does not hold codes of"),
    ({}, {"means": [1e300] * 10}, "less than or equal to 1048576"),
    ({}, {"deviations": [0] * 10}, "greater than 0"),
    ({}, {"step": 1e300}, "does not hold|images that|finite|less than"),
    ({}, {"lowest": 9, "highest": 3}, "does not hold codes of"),
]  # fmt: skip


@pytest.mark.parametrize(("lie", "of_the_code", "expected"), LIES)
def test_headers_that_lie(
    model: Autoencoder, lie: dict[str, object], of_the_code: dict[str, object], expected: str
) -> None:
    content = compress(model, open_images("glyphs", model), 1.0).content
    fields = unpack(content).header.model_dump(mode="json")
    fields = {**fields, "code": {**fields["code"], **of_the_code}, **lie}
    with pytest.raises(ZooError, match=expected):
        list(decompress(unpack(forged(fields, body_of(content))), model))


def test_a_block_with_more_than_its_codes(model: Autoencoder) -> None:
    file = unpack(compress(model, open_images("glyphs", model), 1.0).content)
    longer = CodeFile(file.header, [np.concatenate([words, words]) for words in file.blocks])
    with pytest.raises(ZooError, match="a block is longer than its codes"):
        next(decompress(unpack(pack(longer)), model))


@pytest.mark.parametrize(
    "header",
    [
        json.dumps({str(number): 0 for number in range(60_000)})[:-1] + ',"0": 1}',
        '{"labels": [' + '"",' * 250_000 + '""]}',
        '{"code": {"kind": "numbers", "means": [' + '"",' * 250_000 + '""]}}',
        "[" * 200_000,
    ],
)
def test_headers_that_take_long_to_refuse(header: str) -> None:
    start = time.process_time()
    with pytest.raises(ZooError):
        unpack(forged(header, b""))
    assert time.process_time() - start < 2


def test_a_large_foreign_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "film.aez").write_bytes(b"x" * 1000)
    monkeypatch.setattr("zoo.tasks.code_file.read_file", pytest.fail)
    with pytest.raises(ZooError, match="film.aez: this is no file of compressed images"):
        read(tmp_path / "film.aez")
