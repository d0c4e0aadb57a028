"""Glyphs, the embedded dataset: the ten digits in the typefaces that matplotlib ships, distorted at random.

No download: 60,000 + 10,000 grey images of 28x28 are drawn in seconds from the fonts' outlines and cached. Every image
comes with its label and its generating factors. The same seed gives the same bits: outlines are exact, the arithmetic
is elementwise float64, and NumPy freezes the streams of RandomState.

An outline becomes a signed distance field, once per typeface and digit. Drawing an image is then one affine map of the
pixel grid and one look-up, and the stroke's weight is an offset of the distance.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_arrays

from zoo.datasets import ImageSet, Split, data_folder
from zoo.datasets._glyph_outlines import FIELD, REACH, Array, distance_field, outlines
from zoo.errors import ZooError
from zoo.registry import register_dataset
from zoo.schema.base import DatasetConfig, ImageShape
from zoo.system.files import write_atomically

FACES = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmr10", "cmb10", "cmss10", "cmtt10"),
)
"""The typefaces, by their file names in matplotlib's font folder."""

VERSION = 1
"""The version of the drawing code; images of another version are never taken from a cache."""

SIDE = 28
"""Pixels of a side."""

TRAIN, TEST = 60_000, 10_000
"""The numbers of training and test images."""

RANGES = {
    "rotation": (-15.0, 15.0),  # degrees, counter-clockwise
    "scale": (17.0, 22.0),  # the digit's height in pixels
    "shear": (-0.25, 0.25),  # horizontal shift per unit of height
    "shift_x": (-2.5, 2.5),  # pixels, to the right
    "shift_y": (-2.5, 2.5),  # pixels, downwards
    "stroke": (-0.3, 0.7),  # pixels added to either side of the outline
}
"""The lowest and highest value of each factor."""


class GlyphsConfig(DatasetConfig):
    """Digits in matplotlib's typefaces, distorted, 28x28 grey, with their factors; needs no download."""

    name: Literal["glyphs"] = "glyphs"
    SHAPE: ClassVar[ImageShape] = (1, SIDE, SIDE)
    SIZES: ClassVar[tuple[int, int] | None] = (TRAIN, TEST)

    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        0,
        description="The seed of the labels and the factors; the test images follow the training images in the same "
        "stream.",
    )


@register_dataset(
    config=GlyphsConfig,
)
def glyphs(config: GlyphsConfig, split: Split) -> ImageSet:
    """Load 60,000 training or 10,000 test images with labels and factors, from the cache, or draw them."""
    path = data_folder() / "glyphs" / f"v{VERSION}-{split}-{config.seed}.safetensors"
    arrays = cached(path)
    if arrays is None:
        factors = draw_factors(config.seed)
        part = slice(0, TRAIN) if split == "train" else slice(TRAIN, TRAIN + TEST)
        split_factors = {name: values[part] for name, values in factors.items()}
        arrays = {"images": render(split_factors), **split_factors}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, save_arrays(arrays, metadata={"sha256": checksum(arrays)}))
        except (ZooError, OSError):
            pass  # a cache that cannot be written only costs time
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    images = tensors.pop("images")
    return ImageSet(images.unsqueeze(1), tensors["label"], tensors)


def cached(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the arrays that an earlier call has drawn, or None where the file is missing, incomplete or damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}
            return arrays if file.metadata()["sha256"] == checksum(arrays) else None
    except (OSError, SafetensorError, KeyError, TypeError):  # missing, cut short or not ours: draw it again
        return None


def checksum(arrays: dict[str, NDArray[Any]]) -> str:
    """Return a sha256 over every array and its name."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def draw_factors(seed: int) -> dict[str, NDArray[Any]]:
    """Draw labels, faces and distortions of all 70,000 images: arrays (70000,) by name."""
    random = np.random.RandomState(seed)
    n = TRAIN + TEST
    factors: dict[str, NDArray[Any]] = {
        "label": random.randint(0, 10, n).astype(np.int64),
        "face": random.randint(0, len(FACES), n).astype(np.int64),
    }
    for name, (low, high) in RANGES.items():
        factors[name] = (low + (high - low) * random.random_sample(n)).astype(np.float32)
    return factors


def render(factors: dict[str, NDArray[Any]], chunk: int = 2000) -> NDArray[np.uint8]:
    """Draw images, uint8 (N, 28, 28), from their factors, ``chunk`` images at a time."""
    n = len(factors["label"])
    images = np.empty((n, SIDE, SIDE), dtype=np.uint8)
    for start in range(0, n, chunk):
        part = {name: values[start : start + chunk] for name, values in factors.items()}
        images[start : start + chunk] = _render(glyph_fields(), part)
    return images


@cache
def glyph_fields() -> Array:
    """Return the distance field of every digit in every face, (faces * 10, FIELD, FIELD)."""
    return np.stack([distance_field(contours) for face in FACES for contours in outlines(face, "0123456789")])


def _render(fields: Array, factors: dict[str, NDArray[Any]]) -> NDArray[np.uint8]:
    def column(name: str) -> Array:  # (n, 1, 1), to broadcast over pixels
        values: Array = factors[name].astype(np.float64)[:, None, None]
        return values

    centre = (SIDE - 1) / 2
    x = np.arange(SIDE)[None, None, :] - centre - column("shift_x")
    y = centre + column("shift_y") - np.arange(SIDE)[None, :, None]  # upwards, as in fonts
    angle = np.deg2rad(column("rotation"))
    # Rounded, so that the last bit of a system's sine cannot reach a pixel.
    cos, sin = np.round(np.cos(angle), 9), np.round(np.sin(angle), 9)
    u, v = cos * x + sin * y, cos * y - sin * x  # undo the rotation: (n, 28, 28)
    u = u - column("shear") * v
    scale = column("scale")

    # A bilinear look-up in the glyph's field, (n, 28, 28); beyond its edge the nearest value is far from the outline.
    step = (FIELD - 1) / (2 * REACH)
    column_, row_ = (u / scale + REACH) * step, (v / scale + REACH) * step
    column_, row_ = np.clip(column_, 0, FIELD - 1.001), np.clip(row_, 0, FIELD - 1.001)
    i, j = row_.astype(np.int64), column_.astype(np.int64)
    a, b = row_ - i, column_ - j
    flat = fields.reshape(-1)
    base = ((factors["face"] * 10 + factors["label"])[:, None, None] * FIELD + i) * FIELD + j
    upper = flat[base] * (1 - b) + flat[base + 1] * b
    lower = flat[base + FIELD] * (1 - b) + flat[base + FIELD + 1] * b
    distance = (upper * (1 - a) + lower * a) * scale  # pixels, positive inside

    images: NDArray[np.uint8] = np.rint(np.clip(distance + column("stroke") + 0.5, 0, 1) * 255).astype(np.uint8)
    return images
