"""Compression: images to the bytes of their codes, and back.

The codes of a Gaussian or a plain autoencoder are the posterior's means, rounded to multiples of a step; those of a
VQ-VAE are its indices. Both are entropy-coded by constriction's range coder (Bamler 2022, arXiv:2201.01741), under a
model that is fitted to the codes of the file and kept in it: a Gaussian for each dimension, or the frequency of each
vector.

A file names the entry and the sha256 of its weights: other weights would decode it to something else, and are refused.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor

from zoo.autoencoder import Autoencoder
from zoo.codebook import Codebook, Quantized
from zoo.configs import NAME, Count, Size
from zoo.errors import Lacking, ZooError
from zoo.files import sha256
from zoo.parsing import explain, parse_json
from zoo.pictures import Pictures, see
from zoo.run_config import Strict

MAGIC = b"AEZ\x01"
"""The last byte is the version of the format."""

LARGEST_FILE, LARGEST_HEADER = 2**32, 2**24
AT_ONCE = 500
"""Images that are coded, and decoded, together."""

LARGEST_CODE = 2**20
"""Steps from zero: more would mean that the step is far too small."""


class Header(Strict):
    """What a file says of itself."""

    entry: str = Field(pattern=NAME)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    image_shape: tuple[Size, Size, Size]
    images: Count
    grid: tuple[Size, Size] | None = None
    """Of a codebook's indices; None: the code is a vector of numbers."""
    step: float | None = Field(None, gt=0)
    """What the numbers are multiples of."""
    means: list[float] = []
    deviations: list[float] = Field([])
    """Of each dimension, in steps."""
    lowest: int = Field(0, ge=-LARGEST_CODE)
    highest: int = Field(0, le=LARGEST_CODE)
    """In steps."""
    counts: list[int] = []
    """How often each vector of the codebook is used."""
    labels: list[int] = []
    """Of a conditional model: how many images have each label."""


@dataclass(frozen=True)
class Compressed:
    """A file's content, and what it costs."""

    content: bytes
    images: int
    bits_per_image: float
    """Of the whole file, header and all."""
    mse: float
    """Per pixel, between the pictures and what is decoded again."""


def compress(model: Autoencoder, pictures: Pictures, step: float = 0.5) -> Compressed:
    """Pictures → the content of a file.

    Args:
        model: loaded by ``zoo.load``.
        pictures: what to compress; only their codes are held in memory.
        step: of the rounding, in units of the code; VQ codes need none.

    Raises:
        ZooError: the model is conditional and the pictures have no labels; or the step is too small for the codes.
        Lacking: constriction is missing.
    """
    constriction = _constriction()
    if model.config is None:
        raise ZooError("this model was built, not loaded: a file could not say which one decodes it")
    codes: list[NDArray[np.int32]] = []
    labels: list[NDArray[np.int32]] = []
    squared, images = 0.0, 0
    for seen in see(model, pictures):
        posterior = seen.model.encode(seen.x)
        if isinstance(posterior, Quantized):
            code, z = posterior.indices, posterior.vectors.flatten(1)
        else:
            code = (posterior.mean / step).round()
            if not code.isfinite().all() or float(code.abs().max()) > LARGEST_CODE:
                raise ZooError(
                    f"a step of {step:g} is too small for the codes of {model.config.name}; take a larger one"
                )
            z = code * step
        codes.append(code.flatten(1).cpu().numpy().astype(np.int32))
        if model.classes and seen.batch.labels is not None:
            labels.append(seen.batch.labels.numpy().astype(np.int32))
        squared += float((seen.model.decode(z).mean - seen.x).square().flatten(1).mean(dim=1).double().sum())
        images += len(code)
    symbols = np.concatenate(codes)  # (N, D), or (N, h*w)
    header = Header(
        entry=model.config.name,
        weights_sha256=model.config.weights_sha256,
        image_shape=model.image_shape,
        images=images,
        labels=np.bincount(np.concatenate(labels), minlength=model.classes).tolist() if model.classes else [],
        **_fit(model, symbols, step),
    )
    encoder = constriction.stream.queue.RangeEncoder()
    parts = {"codes": symbols, "labels": np.concatenate(labels) if labels else None}
    for start in range(0, images, AT_ONCE):
        for part, coder, parameters in _streams(constriction, header, min(AT_ONCE, images - start)):
            found = parts[part]
            assert found is not None  # the header says that there are labels
            encoder.encode(np.ascontiguousarray(found[start : start + AT_ONCE].flatten()), coder, *parameters)
    content = _pack(header, encoder.get_compressed().astype("<u4").tobytes())
    return Compressed(content, images, 8 * len(content) / images, squared / images)


def _fit(model: Autoencoder, symbols: NDArray[np.int32], step: float) -> dict[str, Any]:
    """The header's part that says how likely each symbol is."""
    if isinstance(model.prior, Codebook):
        return {"grid": model.prior.grid, "counts": np.bincount(symbols.flatten(), minlength=model.prior.size).tolist()}
    return {
        "step": step,
        "means": [round(float(value), 3) for value in symbols.mean(axis=0)],
        "deviations": [round(max(float(value), 0.1), 3) for value in symbols.std(axis=0)],
        "lowest": int(symbols.min()),
        "highest": int(symbols.max()) + 1,  # two values at least
    }


def _streams(constriction: Any, header: Header, images: int) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """What the file holds of some images, and how each is coded; the same for writing and reading."""
    models = constriction.stream.model
    if header.labels:
        yield "labels", models.Categorical(_shares(header.labels), perfect=False), ()
    if header.counts:
        yield "codes", models.Categorical(_shares(header.counts), perfect=False), ()
    else:
        gaussian = models.QuantizedGaussian(header.lowest, header.highest)
        parameters = (np.tile(values, images) for values in (header.means, header.deviations))
        yield "codes", gaussian, tuple(parameters)


def _shares(counts: list[int]) -> NDArray[np.float64]:
    return np.asarray(counts, dtype=np.float64) / max(1, sum(counts))


def decompress(content: bytes, model: Autoencoder) -> Iterator[Tensor]:
    """The content of a file → images (B, C, H, W) in [0, 1], some at a time.

    Raises:
        ZooError: it is no such file, damaged, or made with other weights.
        Lacking: constriction is missing.
    """
    constriction = _constriction()
    header, body = unpack(content)
    if model.config is None or model.config.weights_sha256 != header.weights_sha256:
        name = model.config.name if model.config else "a model without a card"
        raise ZooError(
            f"the file was made with the weights {header.weights_sha256[:12]} of {header.entry}; those of {name} are "
            f"others and would decode it to something else"
        )
    book = model.prior if isinstance(model.prior, Codebook) else None
    sizes = (len(header.counts), header.grid) if book else (len(header.means), None)
    if (
        sizes != ((book.size, book.grid) if book else (model.prior.latent_dim, None))
        or len(header.labels) != model.classes
    ):
        raise ZooError(f"the file does not hold codes of {header.entry}")
    places = int(np.prod(header.grid or len(header.means)))
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(body, dtype="<u4").astype(np.uint32))
    labels = None
    for start in range(0, header.images, AT_ONCE):
        images = min(AT_ONCE, header.images - start)
        for part, coder, parameters in _streams(constriction, header, images):
            count = () if parameters else (images * (1 if part == "labels" else places),)
            symbols = torch.from_numpy(decoder.decode(coder, *parameters, *count).astype(np.int64))
            if part == "labels":
                labels = symbols
        codes = symbols.reshape(images, places)
        z = book.look_up(codes.reshape(images, *book.grid)) if book else codes.float() * (header.step or 1)
        with torch.no_grad():
            yield model.given(labels).decode(z).mean


def _pack(header: Header, body: bytes) -> bytes:
    text = json.dumps(header.model_dump(exclude_defaults=True), separators=(",", ":")).encode()
    content = MAGIC + struct.pack("<I", len(text)) + text + body
    return content + bytes.fromhex(sha256(content))


def unpack(content: bytes) -> tuple[Header, bytes]:
    """Header and body of a file.

    Raises:
        ZooError: it is something else, of another version, or not whole.
    """
    if content[:3] != MAGIC[:3]:
        raise ZooError("this is no file of compressed images")
    if content[3:4] != MAGIC[3:]:
        raise ZooError(f"the file has version {content[3:4].hex() or 'none'} of the format; this zoo reads version 01")
    if len(content) < 40 or bytes.fromhex(sha256(content[:-32])) != content[-32:]:
        raise ZooError("the file is damaged or not whole: its sha256 differs")
    length = struct.unpack("<I", content[4:8])[0]
    if length > min(LARGEST_HEADER, len(content) - 40) or (len(content) - 40 - length) % 4:
        raise ZooError("the file is damaged: its header does not fit in it")
    fields = parse_json(content[8 : 8 + length].decode("utf-8", errors="replace"), "the file's header")
    try:
        header = Header.model_validate(fields)
    except ValidationError as error:
        raise ZooError("\n".join(f"the file's header: {line}" for line in explain(error, Header))) from error
    gaussian = header.step and header.means and len(header.means) == len(header.deviations) and not header.counts
    if not (gaussian or (header.counts and header.grid)) or header.lowest > header.highest - bool(gaussian):
        raise ZooError("the file's header does not say how it is coded")
    if any(value <= 0 for value in header.deviations) or any(count < 0 for count in (*header.counts, *header.labels)):
        raise ZooError("the file's header does not say how it is coded")
    return header, content[8 + length : -32]


def _constriction() -> Any:
    try:
        import constriction
    except ImportError as error:
        raise Lacking("compression needs constriction: pip install 'autoencoder-zoo[compression]'") from error
    return constriction
