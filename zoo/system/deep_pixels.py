"""Pixels with values of more than 8 bits: grey ones, which Pillow reads, and colours of 16 bits, which it cuts to 8.

The upper 8 bits of colours count as multiples of 257, so that a range of values means the same for both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from zoo.system.pixel_range import ValueHistogram, ValueRange, to_8_bits

SIXTEEN: ValueRange = (0.0, 65535.0)


def is_deep_grey(image: Image.Image) -> bool:
    """Return whether pixels have one value of more than 8 bits."""
    return image.mode.startswith(("I", "F"))


def is_deep_colour(image: Image.Image) -> bool:
    """Return whether an opened file, whose pixels are not read yet, has colours of 16 bits."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else ()
    arguments = [tile[3] for tile in tiles if tile[3]]
    raw = [first if isinstance(first, str) else first[0] for first in arguments]
    return image.mode in ("RGB", "RGBA") and any(";16" in str(mode) for mode in raw)


def _transparent(image: Image.Image) -> NDArray[np.bool_] | None:
    """Return which pixels of a grey image have the value that its file names transparent; None where it names none."""
    value = image.info.get("transparency")
    return np.asarray(image) == value if isinstance(value, int) else None


def count_values(image: Image.Image, histogram: ValueHistogram) -> None:
    """Count the values of an image with more than 8 bits, without transparency."""
    if is_deep_grey(image):
        values = np.asarray(image)
        histogram.add(values[~transparent] if (transparent := _transparent(image)) is not None else values)
    else:
        counts = np.array(image.histogram()).reshape(-1, 256)[:3].sum(axis=0)
        histogram.add_counted((np.arange(256) * 257)[counts > 0], counts[counts > 0])


def with_8_bits(image: Image.Image, value_range: ValueRange | None) -> Image.Image:
    """Return an image with 8 bits, grey or colours, with its transparency.

    Args:
        image: an image with more than 8 bits.
        value_range: the values that become black and white; None: 0 and 65,535, or 0 and 1 for floats.
    """
    value_range = value_range or ((0.0, 1.0) if image.mode == "F" else SIXTEEN)
    if is_deep_grey(image):
        shown = Image.fromarray(to_8_bits(np.asarray(image), value_range))
        if (transparent := _transparent(image)) is not None:
            shown.putalpha(Image.fromarray(np.where(transparent, 0, 255).astype(np.uint8)))
        return shown
    if value_range == SIXTEEN:
        return image
    shades = to_8_bits(np.arange(256) * 257, value_range).tolist()
    return image.point([*shades * 3, *range(256)][: 256 * len(image.getbands())])
