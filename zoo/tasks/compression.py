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
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor

from zoo.autoencoder import Autoencoder
from zoo.codebook import Codebook, Quantized
from zoo.configs import NAME, Positive, Size
from zoo.errors import Lacking, ZooError, first_line
from zoo.files import sha256
from zoo.parsing import explain, parse_json
from zoo.passes import measuring
from zoo.pictures import Pictures, Seen, through
from zoo.run_config import Strict

MAGIC = b"AEZ\x01"
"""The last byte is the version of the format."""

LARGEST_FILE, LARGEST_HEADER = 2**32, 2**24
MOST_IMAGES = 10**7
"""In a file."""

AT_ONCE = 500
"""Images that are coded, and decoded, together."""

LARGEST_CODE = 2**20
"""Steps from zero: more would mean that the step is far too small."""


Steps = Annotated[float, Field(ge=-LARGEST_CODE, le=LARGEST_CODE)]
Spread = Annotated[float, Field(gt=0, le=LARGEST_CODE)]
Tally = Annotated[int, Field(ge=0, le=2**40)]


class Numbers(Strict):
    """Codes that are vectors of numbers, each dimension under a Gaussian of its own; all in steps."""

    kind: Literal["numbers"] = "numbers"
    step: Positive
    means: list[Steps]
    deviations: list[Spread]
    lowest: int = Field(ge=-LARGEST_CODE, le=LARGEST_CODE)
    highest: int = Field(ge=-LARGEST_CODE, le=LARGEST_CODE)


class Indices(Strict):
    """Codes that are indices in a codebook."""

    kind: Literal["indices"] = "indices"
    grid: tuple[Size, Size]
    counts: list[Tally]
    """How often each vector is used."""


class Header(Strict):
    """What a file says of itself."""

    entry: str = Field(pattern=NAME)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    image_shape: tuple[Size, Size, Size]
    images: int = Field(gt=0, le=MOST_IMAGES)
    code: Annotated[Numbers | Indices, Field(discriminator="kind")]
    labels: list[Tally] = []
    """Of a conditional model: how many images have each label."""

    def fits(self, model: Autoencoder) -> bool:
        """Whether these can be codes of the model."""
        book = model.prior if isinstance(model.prior, Codebook) else None
        if isinstance(self.code, Indices):
            places = self.code.grid[0] * self.code.grid[1] * self.images
            right = book is not None and (book.grid, book.size) == (self.code.grid, len(self.code.counts))
            right = right and sum(self.code.counts) == places
        else:
            sizes = {len(self.code.means), len(self.code.deviations), model.prior.latent_dim}
            right = book is None and len(sizes) == 1 and self.code.lowest < self.code.highest
        labelled = sum(self.labels) == (self.images if model.classes else 0) and len(self.labels) == model.classes
        return right and labelled and self.image_shape == model.image_shape


@dataclass(frozen=True)
class Compressed:
    """A file's content, and what it costs."""

    content: bytes
    images: int
    bits_per_image: float
    """Of the whole file, header and all."""
    mse: float
    """Per pixel, between the pictures as the model gets them and what is decoded again."""


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
    if not 0 < step <= 1e6:
        raise ZooError(f"a step of {step:g}: choose a number above zero, up to a million")
    codes: list[NDArray[np.int32]] = []
    labels: list[NDArray[np.int32]] = []
    squared, images = 0.0, 0

    def coded(seen: Seen) -> tuple[NDArray[np.int32], float]:
        posterior = seen.model.encode(seen.x)
        if isinstance(posterior, Quantized):
            code, z = posterior.indices, posterior.vectors.flatten(1)
        else:
            code = (posterior.mean / step).round()
            if not code.isfinite().all() or float(code.abs().max()) >= LARGEST_CODE:
                raise ZooError(f"a step of {step:g} is too small for these codes; take a larger one")
            z = code * step
        errors = (seen.model.decode(z).mean - seen.x).square().flatten(1).mean(dim=1)
        return code.flatten(1).cpu().numpy().astype(np.int32), float(errors.double().sum())

    for batch, (found, error) in through(model, pictures, coded):
        codes.append(found)
        if model.classes and batch.labels is not None:
            labels.append(batch.labels.numpy().astype(np.int32))
        squared += error
        images += len(found)
    symbols = np.concatenate(codes)  # (N, D), or (N, h*w)
    header = Header(
        entry=model.config.name,
        weights_sha256=model.config.weights_sha256,
        image_shape=model.image_shape,
        images=images,
        labels=np.bincount(np.concatenate(labels), minlength=model.classes).tolist() if model.classes else [],
        code=_fit(model, symbols, step),
    )
    encoder = constriction.stream.queue.RangeEncoder()
    parts = {"codes": symbols, "labels": np.concatenate(labels) if labels else None}
    for start in range(0, images, AT_ONCE):
        for part, coder, parameters in _streams(constriction, header, min(AT_ONCE, images - start)):
            of_all = parts[part]
            assert of_all is not None  # the header says that there are labels
            encoder.encode(np.ascontiguousarray(of_all[start : start + AT_ONCE].flatten()), coder, *parameters)
    content = _pack(header, encoder.get_compressed().astype("<u4").tobytes())
    return Compressed(content, images, 8 * len(content) / images, squared / images)


def _fit(model: Autoencoder, symbols: NDArray[np.int32], step: float) -> Numbers | Indices:
    """How likely each symbol is."""
    if isinstance(model.prior, Codebook):
        counts = np.bincount(symbols.flatten(), minlength=model.prior.size).tolist()
        return Indices(grid=model.prior.grid, counts=counts)
    return Numbers(
        step=step,
        means=[round(float(value), 3) for value in symbols.mean(axis=0)],
        deviations=[round(max(float(value), 0.1), 3) for value in symbols.std(axis=0)],
        lowest=int(symbols.min()),
        highest=int(symbols.max()) + 1,  # two values at least
    )


def _streams(constriction: Any, header: Header, images: int) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """What the file holds of some images, and how each is coded; the same for writing and reading."""
    models = constriction.stream.model
    if header.labels:
        yield "labels", models.Categorical(_shares(header.labels), perfect=False), ()
    if isinstance(header.code, Indices):
        yield "codes", models.Categorical(_shares(header.code.counts), perfect=False), ()
    else:
        gaussian = models.QuantizedGaussian(header.code.lowest, header.code.highest)
        parameters = (np.tile(values, images) for values in (header.code.means, header.code.deviations))
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
    if not header.fits(model):
        raise ZooError(f"the file does not hold codes of {header.entry}")
    code = header.code
    places = code.grid[0] * code.grid[1] if isinstance(code, Indices) else len(code.means)
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(body, dtype="<u4").astype(np.uint32))
    for start in range(0, header.images, AT_ONCE):
        images = min(AT_ONCE, header.images - start)
        found: dict[str, Tensor] = {}
        try:
            for part, coder, parameters in _streams(constriction, header, images):
                count = () if parameters else (images * (1 if part == "labels" else places),)
                found[part] = torch.from_numpy(decoder.decode(coder, *parameters, *count).astype(np.int64))
        except (ValueError, OverflowError, RuntimeError, AssertionError) as error:
            raise ZooError(f"the file does not hold what its header says ({first_line(error)})") from error
        symbols = found["codes"].reshape(images, places)
        if isinstance(code, Indices) and isinstance(model.prior, Codebook):
            z = model.prior.look_up(symbols.reshape(images, *code.grid))
        else:
            z = symbols.float() * (code.step if isinstance(code, Numbers) else 1)
        with measuring(model):
            decoded = model.given(found.get("labels")).decode(z).mean
        yield decoded


def _pack(header: Header, body: bytes) -> bytes:
    text = json.dumps(header.model_dump(), separators=(",", ":")).encode()
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
    return header, content[8 + length : -32]


def _constriction() -> Any:
    try:
        import constriction
    except ImportError as error:
        raise Lacking("compression needs constriction: pip install 'autoencoder-zoo[compression]'") from error
    return constriction
