"""Compression: images to the bytes of their codes, and back.

The codes of a Gaussian or a plain autoencoder are the posterior's means, rounded to multiples of a step; those of a
VQ-VAE are its indices. Both are entropy-coded by constriction's range coder (Bamler 2022, arXiv:2201.01741), under a
model that is fitted to the codes of the file and kept in it: a Gaussian for each dimension, or the frequency of each
vector.

A file (:mod:`zoo.tasks.code_file`) names the entry and the sha256 of its weights: other weights would decode it to
something else, and are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.autoencoder import Autoencoder
from zoo.codebook import Codebook, Quantized
from zoo.errors import Lacking, ZooError, first_line
from zoo.passes import measuring
from zoo.pictures import Pictures, Seen, through
from zoo.tasks.code_file import LARGEST_CODE, CodeFile, Header, Indices, Numbers, pack


@dataclass(frozen=True)
class Compressed:
    """A file's content, and what it costs."""

    content: bytes
    names: list[str]
    """Of the pictures, in order; the file does not hold them."""
    bits_per_image: float
    """Of the whole file, header and all."""
    mse: float
    """Per pixel, between the pictures as the model gets them and what is decoded again."""

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.names)


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
    names: list[str] = []
    squared = 0.0

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
        names += batch.names
        if model.classes and batch.labels is not None:
            labels.append(batch.labels.numpy().astype(np.int32))
        squared += error
    symbols = np.concatenate(codes)  # (N, D), or (N, h*w)
    images = len(names)
    header = Header(
        entry=model.config.name,
        weights_sha256=model.config.weights_sha256,
        image_shape=model.image_shape,
        images=images,
        labels=np.bincount(np.concatenate(labels), minlength=model.classes).tolist() if model.classes else [],
        code=_fit(model, symbols, step),
    )
    parts = {"codes": symbols, **({"labels": np.concatenate(labels)} if labels else {})}
    blocks, start = [], 0
    for size in header.block_sizes():
        encoder = constriction.stream.queue.RangeEncoder()
        for part, coder, parameters in _streams(constriction, header, size):
            encoder.encode(np.ascontiguousarray(parts[part][start : start + size].flatten()), coder, *parameters)
        blocks.append(encoder.get_compressed())
        start += size
    content = pack(CodeFile(header, blocks))
    return Compressed(content, names, 8 * len(content) / images, squared / images)


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
    """Of each symbol; two of them at least, as the coder wants it."""
    total = max(1, sum(counts))
    return np.array([count / total for count in (*counts, *[0] * (2 - len(counts)))])


def decompress(file: CodeFile, model: Autoencoder) -> Iterator[Tensor]:
    """What :func:`zoo.tasks.code_file.read` found in a file → images (B, C, H, W) in [0, 1], some at a time.

    Raises:
        ZooError: it is damaged, or made with other weights.
        Lacking: constriction is missing.
    """
    constriction = _constriction()
    header = file.header
    if model.config is None or model.config.weights_sha256 != header.weights_sha256:
        name = model.config.name if model.config else "a model without a card"
        raise ZooError(
            f"the file was made with the weights {header.weights_sha256[:12]} of {header.entry}; those of {name} are "
            f"others and would decode it to something else"
        )
    if not _fits(header, model):
        raise ZooError(f"the file does not hold codes of {header.entry}")
    code = header.code
    places = code.grid[0] * code.grid[1] if isinstance(code, Indices) else len(code.means)
    for size, words in zip(header.block_sizes(), file.blocks, strict=True):
        decoder = constriction.stream.queue.RangeDecoder(words)
        found: dict[str, Tensor] = {}
        try:
            for part, coder, parameters in _streams(constriction, header, size):
                count = () if parameters else (size * (1 if part == "labels" else places),)
                found[part] = torch.from_numpy(decoder.decode(coder, *parameters, *count).astype(np.int64))
        except (ValueError, OverflowError, RuntimeError, AssertionError) as error:
            raise ZooError(f"the file does not hold what its header says ({first_line(error)})") from error
        if not decoder.maybe_exhausted():
            raise ZooError("the file does not hold what its header says (a block is longer than its codes)")
        symbols = found["codes"].reshape(size, places)
        if isinstance(code, Indices) and isinstance(model.prior, Codebook):
            z = model.prior.look_up(symbols.clamp(max=model.prior.size - 1).reshape(size, *code.grid))
        else:
            z = symbols.float() * (code.step if isinstance(code, Numbers) else 1)
        labels = found["labels"].clamp(max=model.classes - 1) if "labels" in found else None
        with measuring(model):
            decoded = model.given(labels).decode(z).mean
        yield decoded


def _fits(header: Header, model: Autoencoder) -> bool:
    """Whether these can be codes of the model."""
    code, book = header.code, model.prior if isinstance(model.prior, Codebook) else None
    if isinstance(code, Indices):
        places = code.grid[0] * code.grid[1] * header.images
        right = book is not None and (book.grid, book.size) == (code.grid, len(code.counts))
        right = right and sum(code.counts) == places
    else:
        sizes = {len(code.means), len(code.deviations), model.prior.latent_dim}
        right = book is None and len(sizes) == 1 and code.lowest < code.highest
    labelled = sum(header.labels) == (header.images if model.classes else 0) and len(header.labels) == model.classes
    return right and labelled and header.image_shape == model.image_shape


def _constriction() -> Any:
    try:
        import constriction
    except ImportError as error:
        raise Lacking("compression needs constriction: pip install 'autoencoder-zoo[compression]'") from error
    return constriction
