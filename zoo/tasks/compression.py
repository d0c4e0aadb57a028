"""Compression: turn images into the bytes of their codes, and back.

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

from zoo.errors import NotApplicable, ZooError, first_line
from zoo.inference.image_batches import ImageStream
from zoo.inference.image_stream import PreparedBatch, map_images
from zoo.inference.loops import eval_mode
from zoo.models import Autoencoder
from zoo.models.autoencoder import check_model
from zoo.models.inputs import described
from zoo.models.numerics import mean_squared_errors
from zoo.tasks.code_file import MAX_CODE, MAX_SYMBOLS, CodeFile, Header, Indices, Numbers, pack


@dataclass(frozen=True)
class Compressed:
    """The content of a file, with its size and its error."""

    content: bytes
    names: list[str]
    """The names of the images, in order; the file does not hold them."""
    bits_per_image: float
    """The bits of the whole file, header and all, per image."""
    mse: float
    """The squared error per pixel between the images that the model is given and those decoded from the file."""

    @property
    def images(self) -> int:
        """The number of images."""
        return len(self.names)


def compress(model: Autoencoder, images: ImageStream, step: float = 0.5) -> Compressed:
    """Compress images to the content of a file.

    Args:
        model: a model that ``zoo.load`` has loaded.
        images: the images to compress; only their codes are held in memory.
        step: the number that codes are rounded to multiples of, in units of the code; discrete codes need none.

    Raises:
        ZooError: the model was not loaded, it is conditional and the images have no labels, or the step is not above
            zero or is too small for the codes.
        NotApplicable: constriction is missing, or the codes have too many dimensions for a file.
    """
    check_model(model)
    constriction = _constriction()
    if model.config is None:
        raise ZooError("this model was built, not loaded: a file could not say which one decodes it")
    if not isinstance(step, int | float) or not 0 < step <= 1e6:
        raise ZooError(f"a step of {step!r}: choose a number above zero, up to a million")
    codes: list[NDArray[np.int32]] = []
    labels: list[NDArray[np.int32]] = []
    names: list[str] = []
    squared = 0.0

    def coded(prepared: PreparedBatch) -> tuple[NDArray[np.int32], float]:
        posterior: Any = prepared.model.encode(prepared.x)
        if model.prior.num_codes:
            code, z = posterior.indices, model.prior.decode_indices(posterior.indices)
        else:
            code = (posterior.mean / step).round()
            if not code.isfinite().all() or float(code.abs().max()) >= MAX_CODE:
                raise ZooError(f"a step of {step:g} is too small for these codes; take a larger one")
            z = code * step
        if (count := model.prior.num_codes or code[0].numel()) > MAX_SYMBOLS:
            what = "vectors in the codebook" if model.prior.num_codes else "dimensions in a code"
            raise NotApplicable(f"a file takes up to {MAX_SYMBOLS:,} {what}; this model has {count:,}")
        errors = mean_squared_errors(prepared.x, prepared.model.decode(z).mean)
        return code.flatten(1).cpu().numpy().astype(np.int32), float(errors.double().sum())

    for batch, (code, error) in map_images(model, images, coded):
        codes.append(code)
        names += batch.names
        if model.classes and batch.labels is not None:
            labels.append(batch.labels.numpy().astype(np.int32))
        squared += error
    symbols = np.concatenate(codes)  # (N, D), or (N, h*w)
    count = len(names)
    header = Header(
        entry=model.config.name,
        weights_sha256=model.config.weights_sha256,
        image_shape=model.image_shape,
        images=count,
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
    return Compressed(content, names, 8 * len(content) / count, squared / count)


def _fit(model: Autoencoder, symbols: NDArray[np.int32], step: float) -> Numbers | Indices:
    """Return the distribution of the symbols (N, D), or (N, h*w), as the header states it."""
    if model.prior.num_codes:
        counts = np.bincount(symbols.flatten(), minlength=model.prior.num_codes).tolist()
        h, w = model.prior.index_shape
        return Indices(grid=(h, w), counts=counts)
    return Numbers(
        step=step,
        means=[round(float(value), 3) for value in symbols.mean(axis=0)],
        deviations=[round(max(float(value), 0.1), 3) for value in symbols.std(axis=0)],
        lowest=int(symbols.min()),
        highest=int(symbols.max()) + 1,  # two values at least
    )


def _streams(constriction: Any, header: Header, images: int) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """Yield the parts of a block of images, with the coder of each, the same for writing and reading."""
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
    """Return the share of each symbol, of at least two, because the coder takes no fewer."""
    total = max(1, sum(counts))
    return np.array([count / total for count in (*counts, *[0] * (2 - len(counts)))])


def decompress(file: CodeFile, model: Autoencoder) -> Iterator[Tensor]:
    """Yield the images (B, C, H, W) in [0, 1] of a file that :func:`zoo.tasks.read` has read, a block at a time.

    Raises:
        ZooError: the file is damaged, or was written with other weights.
        NotApplicable: constriction is missing.
    """
    check_model(model)
    if not isinstance(file, CodeFile):
        raise ZooError(f"give a file that zoo.tasks.read has read, or zoo.tasks.unpack; got {described(file)}")
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
    length = code.grid[0] * code.grid[1] if isinstance(code, Indices) else len(code.means)
    for size, words in zip(header.block_sizes(), file.blocks, strict=True):
        decoder = constriction.stream.queue.RangeDecoder(words)
        decoded: dict[str, Tensor] = {}
        try:
            for part, coder, parameters in _streams(constriction, header, size):
                count = () if parameters else (size * (1 if part == "labels" else length),)
                decoded[part] = torch.from_numpy(decoder.decode(coder, *parameters, *count).astype(np.int64))
        except (ValueError, OverflowError, RuntimeError, AssertionError) as error:
            raise ZooError(f"the file does not hold what its header says ({first_line(error)})") from error
        if not decoder.maybe_exhausted():
            raise ZooError("the file does not hold what its header says (a block is longer than its codes)")
        symbols = decoded["codes"].reshape(size, length)
        if isinstance(code, Indices):
            z = model.prior.decode_indices(symbols.clamp(max=model.prior.num_codes - 1).reshape(size, *code.grid))
        else:
            z = symbols.float() * code.step
        labels = decoded["labels"].clamp(max=model.classes - 1) if "labels" in decoded else None
        with eval_mode(model):
            x = model.given(labels).decode(z).mean
        yield x


def _fits(header: Header, model: Autoencoder) -> bool:
    """Return whether the file can hold codes of the model."""
    code, prior = header.code, model.prior
    if isinstance(code, Indices):
        symbols = code.grid[0] * code.grid[1] * header.images
        codes_fit = (prior.index_shape, prior.num_codes) == (code.grid, len(code.counts))
        codes_fit = codes_fit and sum(code.counts) == symbols
    else:
        sizes = {len(code.means), len(code.deviations), prior.latent_dim}
        codes_fit = not prior.num_codes and len(sizes) == 1 and code.lowest < code.highest
    labels_fit = sum(header.labels) == (header.images if model.classes else 0) and len(header.labels) == model.classes
    return codes_fit and labels_fit and header.image_shape == model.image_shape


def _constriction() -> Any:
    try:
        import constriction
    except ImportError as error:
        raise NotApplicable("compression needs constriction: pip install 'autoencoder-zoo[compression]'") from error
    return constriction
