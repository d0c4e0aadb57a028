"""Image files: decoding and encoding one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from zoo.errors import ZooError, first_line
from zoo.schema.base import ImageShape
from zoo.system.deep_pixels import is_deep_colour, is_deep_grey, with_8_bits
from zoo.system.embedded import ImageFile, opened
from zoo.system.libtiff import silence
from zoo.system.memory import out_of_memory
from zoo.system.memory_budget import MemoryBudget
from zoo.system.pixel_range import ValueRange
from zoo.system.zip_files import is_there

FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""The formats that hold pixels and nothing else; HEIF needs a plugin. Pillow opens more formats, by their content, and
starts another program for some: Ghostscript for EPS."""

OTHER_ENDINGS = frozenset({".dib", ".mpo"})
"""The endings of a bitmap and of a camera's JPEG file with previews, for which Pillow has formats of their own."""

MAX_PIXELS = 2**27
"""The most pixels of an image that is read: more than a camera has, and little enough for any memory."""

LARGE = 2**25
"""An image of more pixels is reduced in strips before anything else is done to it."""

STRIP_PIXELS = 2**22

DECODING = MemoryBudget(2**30)
"""The bytes that all threads which decode images may take together."""

Fit = Literal["crop", "pad", "stretch"]
Pages = Literal["first", "all"]

TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The turn that each orientation in EXIF asks for."""


@dataclass(frozen=True)
class Presentation:
    """The way from image files to images of one shape."""

    shape: ImageShape
    """The shape (C, H, W) of every image."""
    fit: Fit = "crop"
    """What is done to an image of other proportions."""
    pages: Pages = "first"
    """The pages that are used of a file that has several."""
    range: ValueRange | None = None
    """The values of more than 8 bits that become black and white; None: 0 to 65,535, or 0 to 1 for floats."""


@cache
def endings() -> frozenset[str]:
    """Return the endings of the image files that are read here."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return OTHER_ENDINGS | {ending for ending, format in Image.registered_extensions().items() if format in FORMATS}


@contextmanager
def open_image(file: ImageFile | io.BytesIO) -> Iterator[Image.Image]:
    """Open an image file, which may be in something larger, or the content of one, and read its header.

    Raises:
        Exception: the file cannot be read; Pillow raises a dozen kinds for damaged files.
    """
    endings()  # so that Pillow knows the formats of its plugins
    Image.init()  # and those that it was built with
    known = [name for name in FORMATS if name in Image.OPEN]
    source = nullcontext(file) if isinstance(file, io.BytesIO) else opened(file)
    with source as content, Image.open(content, formats=known) as image:
        if image.format == "TIFF":
            silence()
        if image.width * image.height > MAX_PIXELS:
            raise ZooError(f"{image.width:,} x {image.height:,} pixels are more than {MAX_PIXELS:,}; make it smaller")
        yield image


def is_image(path: Path) -> bool:
    """Return whether the content of a file is an image's."""
    try:
        with open_image(path):
            return True
    except Exception:  # Pillow raises a dozen kinds
        return False


def pages_in(image: Image.Image) -> int:
    """Return the number of pages or frames of an opened file; the previews of a camera's file (MPO) are none."""
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def read_image(file: ImageFile | io.BytesIO, presentation: Presentation, page: int = 0) -> Image.Image:
    """Read an image file, or the content of one: upright, in the proportions of the shape, resized, grey or RGB.

    Raises:
        Exception: the file cannot be read; Pillow raises a dozen kinds for damaged files.
    """
    channels, height, width = presentation.shape
    with open_image(file) as image:
        if page:
            image.seek(page)
        factor = 1
        if image.width * image.height > LARGE:
            if image.format == "JPEG":
                image.draft(None, (4 * max(height, width),) * 2)  # decodes a half, a quarter or an eighth of each side
            factor = max(1, min(image.size) // (2 * max(height, width)))
        deep = is_deep_colour(image)
        bytes_per_pixel = 12 if factor == 1 else 8 if deep else 4
        with DECODING.reserved(image.width * image.height * bytes_per_pixel):
            shallow = with_8_bits(image, presentation.range) if deep else image
            orientation = orientation_of(image)
            if factor > 1:
                flat = turned(reduced(shallow, factor, channels, presentation.range), orientation)
            else:
                flat = flatten(turned(shallow, orientation), channels, presentation.range)
            return fitted(flat, (width, height), presentation.fit)


def fitted(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """Resize an image to ``size`` (width, height): its central part, all of it with black around it, or stretched."""
    if fit == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    if fit == "pad":
        if min(image.size) * max(size) < max(image.size):  # of which less than a pixel would be left
            scale = max(image.width / size[0], image.height / size[1])
            thin = max(1, round(image.width / scale)), max(1, round(image.height / scale))
            image = image.resize(thin, Image.Resampling.BICUBIC)
        return ImageOps.pad(image, size, Image.Resampling.BICUBIC)
    return image.resize(size, Image.Resampling.BICUBIC)


def decode_or_reason(path: Path, presentation: Presentation, page: int = 0) -> NDArray[np.uint8] | str:
    """Decode an image file to uint8 (C, H, W), or return the reason why it cannot be read."""
    if not is_there(path):
        return "is not a file" if path.exists() else "there is no such file"
    try:
        return to_array(read_image(path, presentation, page), presentation.shape)
    except Exception as error:  # Pillow raises a dozen kinds for damaged files
        if out_of_memory(error):  # which is no fault of the file
            raise
        return reason_of(error)


def reason_of(error: Exception) -> str:
    """Say why an image cannot be read."""
    reason = first_line(error)
    damaged = reason.startswith("decoder error")  # the words of Pillow for whatever a library finds in a file
    return f"its content is damaged or cut off ({reason})" if damaged else reason


def to_array(image: Image.Image, shape: ImageShape) -> NDArray[np.uint8]:
    """Return the pixels, uint8 (C, H, W), of an image that has this shape already."""
    channels, height, width = shape
    return np.asarray(image, dtype=np.uint8).reshape(height, width, channels).transpose(2, 0, 1).copy()


def orientation_of(image: Image.Image) -> int:
    """Return the orientation in the EXIF data; 1, upright, where there is none or it is damaged."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # the pixels may be whole all the same
        return 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image upright."""
    return image.transpose(TRANSPOSED[orientation]) if orientation in TRANSPOSED else image


def reduced(image: Image.Image, factor: int, channels: int, value_range: ValueRange | None) -> Image.Image:
    """Flatten an image whose sides are divided by ``factor``, strip by strip, so that it is never there twice."""
    height = max(factor, STRIP_PIXELS // image.width // factor * factor)
    out = Image.new("L" if channels == 1 else "RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top in range(0, image.height, height):
        strip = image.crop((0, top, image.width, min(top + height, image.height)))
        out.paste(flatten(strip, channels, value_range).reduce(factor), (0, top // factor))
    return out


def flatten(image: Image.Image, channels: int, value_range: ValueRange | None = None) -> Image.Image:
    """Return an image with 8 bits, without transparency, grey (1) or RGB (3).

    Args:
        image: the image.
        channels: 1 or 3.
        value_range: the values of more than 8 bits that become black and white; None: 0 and 65,535, or 0 and 1.
    """
    if is_deep_grey(image):  # Pillow would clip it to white
        image = with_8_bits(image, value_range)
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return (image.convert("RGB") if image.mode == "LAB" else image).convert("L" if channels == 1 else "RGB")


def encode_png(image: Tensor) -> bytes:
    """Encode an image (C, H, W) in [0, 1] as the content of a PNG file."""
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "png")
    return buffer.getvalue()
