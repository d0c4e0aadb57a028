"""Codes as files: there and back, and whatever else someone may hand in."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save

import zoo
from tests.helpers import command, costly_variants
from zoo.errors import NotApplicable, ZooError
from zoo.inference.image_stream import open_images
from zoo.models.autoencoder import Autoencoder
from zoo.system.files import sha256
from zoo.tasks import compression
from zoo.tasks.code_file import FORMAT, VERSION, CodeFile, pack, read, unpack
from zoo.tasks.compression import compress, decompress
from zoo.tasks.features import encode


def check_codes_come_back(model: Autoencoder, source: str) -> None:
    assert model.config is not None
    stream = open_images(source, model)
    compressed = compress(model, stream)
    file = unpack(memoryview(compressed.content))
    images = torch.cat(list(decompress(file, model)))
    x = torch.cat([batch.images for batch in stream.batches(1000)]).float() / 255
    assert images.shape == x.shape
    assert float((images - x).square().mean()) == pytest.approx(compressed.mse, rel=1e-4)
    assert compressed.bits_per_image == 8 * len(compressed.content) / len(x)
    assert (file.header.entry, file.header.images) == (model.config.name, len(x))
    assert file.header.code.kind == ("indices" if model.prior.num_codes else "numbers")
    assert len(file.header.labels) == model.classes


@pytest.mark.parametrize("variant", costly_variants())
def test_codes_of_every_variant_come_back_and_decode_to_the_same_images(
    variant: str, tiny_run: Callable[[str], Path]
) -> None:
    check_codes_come_back(zoo.load(tiny_run(variant)), "tiny")


@pytest.mark.parametrize("name", ["beta_vae_1_glyphs", "ae_mnist", "vq_vae_fashion_mnist", "conditional_vae_mnist"])
def test_codes_in_several_blocks_come_back_and_decode_to_the_same_images(name: str) -> None:
    check_codes_come_back(zoo.load(name), "glyphs:0,1")


def test_a_smaller_step_costs_more_bits_and_less_error(model: Autoencoder) -> None:
    images = open_images("glyphs:0-2", model)
    compressed = [compress(model, images, step) for step in (2.0, 1.0, 0.5, 0.25)]
    bits, errors = [one.bits_per_image for one in compressed], [one.mse for one in compressed]
    assert bits == sorted(bits)
    assert errors == sorted(errors, reverse=True)
    # Within a few per cent of the entropy of the rounded codes, were the dimensions independent.
    codes = np.round(encode(model, images).codes / 0.25).astype(int)
    entropy = 0.0
    for dimension in codes.T:
        share = np.unique(dimension, return_counts=True)[1] / len(dimension)
        entropy -= float((share * np.log2(share)).sum())
    assert bits[-1] < 1.2 * entropy + 8 * 1000 / len(codes)


@pytest.fixture(scope="module")
def content(model: Autoencoder) -> bytes:
    """A file of 10,000 images."""
    return compress(model, open_images("glyphs", model), 1.0).content


def version_2(fields: object, blocks: Sequence[NDArray[np.uint32]]) -> bytes:
    """Return a file of the format's second version with this header and the right sha256."""
    text = (fields if isinstance(fields, str) else json.dumps(fields)).encode()
    body = b"".join(len(words).to_bytes(4, "little") + words.astype("<u4").tobytes() for words in blocks)
    whole = b"AEZ\x02" + len(text).to_bytes(4, "little") + text + body
    return whole + bytes.fromhex(sha256(whole))


def version_3(fields: object, blocks: Sequence[NDArray[np.uint32]], **about: str) -> bytes:
    """Return a file with this header and the right sha256: whoever writes a file can make that."""
    header = fields if isinstance(fields, str) else json.dumps(fields)
    words = np.concatenate([*blocks, np.zeros(0, np.uint32)])
    lengths = np.array([len(block) for block in blocks], np.uint32)
    parts = [header.encode(), words.tobytes(), lengths.tobytes()]
    digest = sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts))
    metadata = {"format": FORMAT, "version": VERSION, "header": header, "sha256": digest} | about
    return save({"words": words, "block_lengths": lengths}, metadata={"codes": json.dumps(metadata)})


WRITERS = {"version 2": version_2, "version 3": version_3}
every_version = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
Writer = Callable[[object, Sequence[NDArray[np.uint32]]], bytes]


def metadata_of(content: bytes) -> dict[str, str]:
    start: dict[str, dict[str, str]] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    about: dict[str, str] = json.loads(start["__metadata__"]["codes"])
    return about


def test_a_file_is_safetensors(content: bytes) -> None:
    file = unpack(content)
    tensors = load(content)
    assert set(tensors) == {"words", "block_lengths"}
    assert all(tensor.dtype == np.uint32 for tensor in tensors.values())
    assert tensors["block_lengths"].tolist() == [len(words) for words in file.blocks]
    assert len(file.blocks) == 20
    assert pack(file) == content  # the same images, the same bytes
    again = version_3(file.header.model_dump_json(), file.blocks)
    assert len(again) == len(content)
    assert metadata_of(again) == metadata_of(content)


@every_version
def test_a_file_of_each_version_is_read(content: bytes, write: Writer) -> None:
    file = unpack(content)
    again = unpack(write(file.header.model_dump(mode="json"), file.blocks))
    assert again.header == file.header
    assert len(again.blocks) == len(file.blocks)
    assert all(np.array_equal(*pair) for pair in zip(again.blocks, file.blocks, strict=True))


def test_other_weights_are_refused(content: bytes) -> None:
    with pytest.raises(ZooError, match="made with the weights .* of beta_vae_1_glyphs; those of beta_vae_4_glyphs"):
        next(decompress(unpack(content), zoo.load("beta_vae_4_glyphs")))


@every_version
def test_damaged_files_are_refused(content: bytes, write: Writer) -> None:
    file = unpack(content)
    content = write(file.header.model_dump(mode="json"), file.blocks)
    flipped = content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
    for damaged in (content[:-1], content[:100], flipped, content + b"x"):
        with pytest.raises(ZooError, match="damaged or not whole"):
            unpack(damaged)
    with pytest.raises(ZooError, match="damaged or not whole|the file's start: "):
        unpack(content[:200] + b"x" + content[201:])


def test_foreign_files_and_other_versions_are_refused(content: bytes) -> None:
    foreign = (b"", b"\x89PNG\r\n\x1a\n" + b"x" * 100, b"PK\x03\x04" * 20, save({"codes": np.zeros(3)}))
    for other in (*foreign, version_3({}, [], format="something else")):
        with pytest.raises(ZooError, match="not a file of compressed images"):
            unpack(other)
    with pytest.raises(ZooError, match="version 1 of the format; this zoo reads versions 2 and 3"):
        unpack(b"AEZ\x01" + content[4:])
    with pytest.raises(ZooError, match="version 4 of the format; this zoo reads versions 2 and 3"):
        unpack(version_3({}, [], version="4"))


def test_a_step_that_is_too_small_is_refused(model: Autoencoder) -> None:
    with pytest.raises(ZooError, match="too small for these codes"):
        compress(model, open_images("glyphs:3", model), 1e-9)


@pytest.mark.parametrize(
    ("name", "what"), [("ae_mnist", "dimensions in a code"), ("vq_vae_fashion_mnist", "vectors in the")]
)
def test_codes_that_no_header_can_describe_are_refused(name: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MAX_SYMBOLS", 8)
    with pytest.raises(NotApplicable, match=f"a file takes up to 8 {what}"):
        compress(zoo.load(name), open_images("tiny", zoo.load(name)))


def test_the_commands_there_and_back(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "codes.aez"
    done = command("compress", "beta_vae_1_glyphs", folder, "--out", file, "--json", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 11
    done = command("decompress", file, "--out", tmp_path / "back", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [f"{n:02}.png" for n in range(11)]
    for arguments, expected in (
        ((folder / "00.png", "--out", tmp_path / "x"), "00.png: this is not a file of compressed images"),
        ((file, "--out", tmp_path / "back"), "is there already and not empty"),
        ((file, "--out", tmp_path / "x", "--model", "ae_mnist"), "would decode it to something else"),
        ((tmp_path / "none", "--out", tmp_path / "x"), "there is no file"),
    ):
        done = command("decompress", *arguments)
        assert done.returncode == 2
        assert re.search(expected, done.stderr), done.stderr


# --- files that lie


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


@every_version
@pytest.mark.parametrize(("lie", "of_the_code", "expected"), LIES)
def test_headers_that_lie(
    model: Autoencoder,
    content: bytes,
    lie: dict[str, object],
    of_the_code: dict[str, object],
    expected: str,
    write: Writer,
) -> None:
    file = unpack(content)
    fields = file.header.model_dump(mode="json")
    fields = {**fields, "code": {**fields["code"], **of_the_code}, **lie}
    with pytest.raises(ZooError, match=expected):
        list(decompress(unpack(write(fields, file.blocks)), model))


def test_a_block_with_more_than_its_codes(model: Autoencoder, content: bytes) -> None:
    file = unpack(content)
    longer = CodeFile(file.header, [np.concatenate([words, words]) for words in file.blocks])
    with pytest.raises(ZooError, match="a block is longer than its codes"):
        next(decompress(unpack(pack(longer)), model))


TENSORS_THAT_LIE: list[tuple[dict[str, NDArray[np.generic]], str]] = [
    ({"words": np.zeros(4, np.int64)}, "wrong type or shape"),
    ({"words": np.zeros((2, 2), np.uint32)}, "wrong type or shape"),
    ({"block_lengths": np.zeros((1, 1), np.uint32)}, "wrong type or shape"),
    ({"block_lengths": np.zeros(0, np.uint32)}, "do not add up to its words"),
    ({"block_lengths": np.array([2**32 - 1, 2], np.uint32)}, "do not add up to its words"),
    ({"block_lengths": np.array([4] * 7, np.uint32)}, "do not add up to its words"),
]


@pytest.mark.parametrize(("lie", "expected"), TENSORS_THAT_LIE)
def test_tensors_that_lie(content: bytes, lie: dict[str, NDArray[np.generic]], expected: str) -> None:
    header = unpack(content).header.model_dump_json()
    arrays = {"words": np.zeros(1, np.uint32), "block_lengths": np.ones(1, np.uint32)} | lie
    parts = [header.encode(), arrays["words"].tobytes(), arrays["block_lengths"].tobytes()]
    digest = sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts))
    metadata = {"format": FORMAT, "version": VERSION, "header": header, "sha256": digest}
    with pytest.raises(ZooError, match=expected):
        unpack(save(arrays, metadata={"codes": json.dumps(metadata)}))
    for missing in arrays:
        with pytest.raises(ZooError, match="damaged or not whole"):
            unpack(
                save(
                    {name: array for name, array in arrays.items() if name != missing},
                    metadata={"codes": json.dumps(metadata)},
                )
            )
    for missing in ("header", "sha256"):
        with pytest.raises(ZooError, match="damaged or not whole"):
            about = {name: text for name, text in metadata.items() if name != missing}
            unpack(save(arrays, metadata={"codes": json.dumps(about)}))


@every_version
@pytest.mark.parametrize(
    "header",
    [
        json.dumps({str(number): 0 for number in range(60_000)})[:-1] + ',"0": 1}',
        '{"labels": [' + '"",' * 250_000 + '""]}',
        '{"code": {"kind": "numbers", "means": [' + '"",' * 250_000 + '""]}}',
        "[" * 200_000,
    ],
    ids=["twice", "labels", "means", "deep"],
)
def test_headers_that_take_long_to_refuse(header: str, write: Writer) -> None:
    start = time.process_time()
    with pytest.raises(ZooError):
        unpack(write(header, []))
    assert time.process_time() - start < 2


@every_version
def test_empty_blocks_do_not_grow_in_memory(write: Writer) -> None:
    content = write({}, [np.zeros(0, np.uint32)] * 200_000)  # which as arrays take more than a hundred bytes each
    tracemalloc.start()
    try:
        with pytest.raises(ZooError, match="blocks"):
            unpack(content)
        assert tracemalloc.get_traced_memory()[1] < 6 * len(content)
    finally:
        tracemalloc.stop()


def test_a_large_foreign_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "film.aez").write_bytes(b"x" * 1000)
    monkeypatch.setattr("zoo.tasks.code_file.read_file", pytest.fail)
    with pytest.raises(ZooError, match="film.aez: this is not a file of compressed images"):
        read(tmp_path / "film.aez")
