"""Image files: finding them under a folder, decoding and encoding one."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from zoo.errors import ZooError, first_line
from zoo.schema.base import ImageShape

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""The formats that hold pixels and nothing else. Pillow opens more formats, by their content, and starts another
program for some: Ghostscript for EPS."""

SKIPPED_SHOWN = 5
"""The number of unreadable files that a warning names."""


def images_under(root: Path) -> list[Path]:
    """List every image file in a folder and its subfolders, sorted by name.

    Raises:
        ZooError: there is no such folder, or no image file in it.
    """
    if not root.is_dir():
        hint = "; name the folder that it is in" if root.exists() else ""
        raise ZooError(f"there is no folder {root}{hint}")
    known = {ending for ending, format in Image.registered_extensions().items() if format in FORMATS}
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in known and path.is_file())
    if not paths:
        raise ZooError(f"there are no images under {root} (looked for {', '.join(sorted(known))})")
    return paths


def read_image(path: Path, shape: ImageShape) -> Image.Image:
    """Read an image file: upright, its central part in the proportions of ``shape``, resized, grey or RGB.

    Raises:
        Exception: the file cannot be read; Pillow raises a dozen kinds for damaged files.
    """
    channels, height, width = shape
    Image.init()  # so that it knows which of the formats it was built with
    with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
        return ImageOps.fit(flatten(image, channels), (width, height), Image.Resampling.BICUBIC)


def decode_or_reason(path: Path, shape: ImageShape) -> NDArray[np.uint8] | str:
    """Decode an image file to uint8 (C, H, W), or return the reason why it cannot be read."""
    try:
        return to_array(read_image(path, shape), shape)
    except Exception as error:  # Pillow raises a dozen kinds for damaged files
        return first_line(error)


def to_array(image: Image.Image, shape: ImageShape) -> NDArray[np.uint8]:
    """Return the pixels, uint8 (C, H, W), of an image that has this shape already."""
    channels, height, width = shape
    return np.asarray(image, dtype=np.uint8).reshape(height, width, channels).transpose(2, 0, 1).copy()


def warn_skipped(unreadable: Sequence[str], total: int, what: str) -> None:
    """Warn of files that were skipped, if any, and name the first few.

    Args:
        unreadable: a line ``name: reason`` for each file.
        total: the number of files that were tried.
        what: the plural noun for them in the message.
    """
    if not unreadable:
        return
    listed = "".join(f"\n  {line}" for line in unreadable[:SKIPPED_SHOWN])
    more = len(unreadable) - SKIPPED_SHOWN
    rest = f"\n  and {more} more" if more > 0 else ""
    warnings.warn(f"skipped {len(unreadable)} of {total} {what}:{listed}{rest}", stacklevel=3)


def flatten(image: Image.Image, channels: int) -> Image.Image:
    """Return an image upright, with 8 bits, without transparency, grey (1) or RGB (3)."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16 bits and more: Pillow would clip them to white
        values = np.asarray(image, dtype=np.float64)
        top = 65535 if image.mode.startswith("I") else 1
        image = Image.fromarray((np.clip(values / top, 0, 1) * 255).round().astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("L" if channels == 1 else "RGB")


def encode_png(image: Tensor) -> bytes:
    """Encode an image (C, H, W) in [0, 1] as the content of a PNG file."""
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "png")
    return buffer.getvalue()
