"""Image files: finding them under a folder, decoding and encoding one."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from zoo.errors import ZooError, escaped, first_line
from zoo.schema.base import ImageShape
from zoo.schema.text import backslash_hint
from zoo.system.folder_walk import HIDDEN, walk
from zoo.system.memory import out_of_memory
from zoo.system.memory_budget import MemoryBudget
from zoo.system.pixel_range import ValueRange, to_8_bits

FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""The formats that hold pixels and nothing else; HEIF needs a plugin. Pillow opens more formats, by their content, and
starts another program for some: Ghostscript for EPS."""

HEIF = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
"""The endings of HEIF, which Pillow reads with the plugin pillow-heif."""

NOT_READ = HEIF | frozenset(
    ".3fr .arw .cr2 .cr3 .crw .dcm .dng .emf .eps .erf .exr .fits .hdr .icns .ico .iiq .jxl .jxr .kdc .mos .mrw .nef "
    ".nii .nrw .orf .pcx .pef .psb .psd .raf .raw .rw2 .sgi .sr2 .srf .srw .svg .svgz .tga .wdp .wmf .x3f .xcf".split()
)
"""The endings of images that are not read: raw files of cameras, medical and layered images, drawings."""

SKIPPED_SHOWN = 5
"""The number of unreadable files that a warning names."""

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


@dataclass(frozen=True)
class ImageFiles:
    """The image files under a folder."""

    root: Path
    paths: list[Path]
    """The image files, sorted by path."""
    left_out: dict[str, list[Path]]
    """What was left out, by reason."""

    def warn(self) -> None:
        """Warn of what was left out, besides hidden files and those of tools."""
        for reason, paths in self.left_out.items():
            if reason != HIDDEN:
                warnings.warn(f"{self.root}: left out {listed(paths, self.root)}: {reason}", stacklevel=3)


@cache
def endings() -> frozenset[str]:
    """Return the endings of the image files that are read here."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return frozenset(ending for ending, format in Image.registered_extensions().items() if format in FORMATS)


def images_under(root: Path) -> ImageFiles:
    """List every image file in a folder and its subfolders, each once; links are followed, hidden files are left out.

    Raises:
        ZooError: there is no such folder, or no image file in it.
    """
    if not root.is_dir():
        hint = "; name the folder that it is in" if root.exists() else ""
        raise ZooError(f"there is no folder {printable(root)}{hint}{backslash_hint(root)}")
    known = endings()

    def looks_like_an_image(path: Path) -> bool:
        return path.suffix.lower() in known or path.suffix.lower() in NOT_READ or not path.suffix

    found = walk(root, looks_like_an_image)
    paths: list[Path] = []
    left_out = dict(found.left_out)
    for path in found.files:
        ending = path.suffix.lower()
        if ending in known:
            paths.append(path)
        elif ending:
            hint = "; install the extra heif (pillow-heif) to read it" if ending in HEIF else ""
            left_out.setdefault(f"images of a kind that is not read ({ending}){hint}", []).append(path)
        elif is_image(path):
            left_out.setdefault("images without an ending; give them one, such as .png", []).append(path)
    if not paths:
        what = "".join(f"; left out {listed(names, root)}: {reason}" for reason, names in left_out.items())
        raise ZooError(f"there are no images under {root} (looked for {', '.join(sorted(known))}){what}")
    return ImageFiles(root, paths, left_out)


def listed(paths: Sequence[Path], root: Path) -> str:
    """Write how many files there are, and the names of the first few."""
    names = ", ".join(printable(path.relative_to(root)) for path in paths[:SKIPPED_SHOWN])
    return f"{len(paths):,} ({names}{', …' if len(paths) > SKIPPED_SHOWN else ''})"


def printable(path: Path) -> str:
    """Return a file's name for a message; in a file it is :func:`zoo.system.files.spelled`."""
    return escaped(str(path))


def open_image(path: Path) -> Image.Image:
    """Open an image file and read its header.

    Raises:
        Exception: the file cannot be read; Pillow raises a dozen kinds for damaged files.
    """
    Image.init()  # so that it knows which of the formats it was built with
    image = Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ZooError(f"{image.width:,} x {image.height:,} pixels are more than {MAX_PIXELS:,}; make it smaller")
    return image


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


def is_deep(image: Image.Image) -> bool:
    """Return whether pixels have one value of more than 8 bits."""
    return image.mode.startswith(("I", "F"))


def read_image(path: Path, presentation: Presentation, page: int = 0) -> Image.Image:
    """Read an image file: upright, in the proportions of the shape, resized, grey or RGB.

    Raises:
        Exception: the file cannot be read; Pillow raises a dozen kinds for damaged files.
    """
    channels, height, width = presentation.shape
    with open_image(path) as image:
        if page:
            image.seek(page)
        factor = 1
        if image.width * image.height > LARGE:
            if image.format == "JPEG":
                image.draft(None, (4 * max(height, width),) * 2)  # decodes a half, a quarter or an eighth of each side
            factor = max(1, min(image.size) // (2 * max(height, width)))
        bytes_per_pixel = 12 if factor == 1 else 4
        with DECODING.reserved(image.width * image.height * bytes_per_pixel):
            if factor > 1:
                orientation = orientation_of(image)
                flat = turned(reduced(image, factor, channels, presentation.range), orientation)
            else:
                flat = flatten(turned(image, orientation_of(image)), channels, presentation.range)
            return fitted(flat, (width, height), presentation.fit)


def fitted(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """Resize an image to ``size`` (width, height): its central part, all of it with black around it, or stretched."""
    if fit == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    if fit == "pad":
        return ImageOps.pad(image, size, Image.Resampling.BICUBIC)
    return image.resize(size, Image.Resampling.BICUBIC)


def decode_or_reason(path: Path, presentation: Presentation, page: int = 0) -> NDArray[np.uint8] | str:
    """Decode an image file to uint8 (C, H, W), or return the reason why it cannot be read."""
    if not path.is_file():  # a pipe or a device would never end
        return "is not a file" if path.exists() else "there is no such file"
    try:
        return to_array(read_image(path, presentation, page), presentation.shape)
    except Exception as error:  # Pillow raises a dozen kinds for damaged files
        if out_of_memory(error):  # which is no fault of the file
            raise
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
    if is_deep(image):  # Pillow would clip it to white
        usual = (0.0, 1.0 if image.mode == "F" else 65535.0)
        image = Image.fromarray(to_8_bits(np.asarray(image), value_range or usual))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("L" if channels == 1 else "RGB")


def encode_png(image: Tensor) -> bytes:
    """Encode an image (C, H, W) in [0, 1] as the content of a PNG file."""
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "png")
    return buffer.getvalue()
