"""The image that somebody gives to the explorer: a drawing, a file that was dropped, or a test image."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from zoo.errors import NotApplicable, ZooError
from zoo.explorer.session import OpenModel
from zoo.inference.file_stream import presentation_of
from zoo.schema.base import ImageShape
from zoo.system.image_files import Fit, encode_png, open_image, pages_in, read_image, reason_of, to_array
from zoo.system.memory import out_of_memory

MAX_FILE_BYTES = 20 * 2**20
"""The most bytes of an image file; it is sent as base64, which is a third longer."""

BORDER_IMAGES = 64
"""The number of test images whose borders tell how bright the background of a model's images is."""

BRIGHT, DARK = 0.6, 0.4
"""The background of an image is bright above the one brightness, and dark below the other."""

FITS: dict[str, str] = {"crop": "cut to its central part", "pad": "padded with black", "stretch": "stretched"}
"""The words for the ways in which an image is fitted to other proportions."""


@dataclass(frozen=True)
class Seen:
    """An image in the shape that a model takes, and the steps that led to it."""

    images: Tensor
    """The image, uint8 (1, C, H, W)."""
    steps: tuple[str, ...]
    """What was done, in words; empty: nothing."""
    inverted: bool


@dataclass(frozen=True)
class GivenImage:
    """The content of an image file, and what is to be done to it.

    Args:
        content: the content of the file.
        fit: what is done to an image of other proportions; None: what was done to the model's training images.
        invert: True and False invert it and do not; None inverts it where its background is bright and that of the
            model's images dark, or the other way round.
        grey: take the colours out of it.
    """

    content: bytes
    fit: Fit | None = None
    invert: bool | None = None
    grey: bool = False

    def seen_by(self, opened: OpenModel) -> Seen:
        """Return what a model is given for this image.

        Raises:
            ZooError: it is not the content of an image file, or cannot be read.
        """
        usual = presentation_of(opened.model)
        presentation = replace(usual, fit=self.fit or usual.fit)
        channels, height, width = presentation.shape
        if channels not in (1, 3):
            raise NotApplicable(f"this model's images have {channels} channels, and image files are grey or colours")
        try:
            with open_image(io.BytesIO(self.content)) as file:
                size, mode, pages = file.size, file.mode, pages_in(file)
            pixels = to_array(read_image(io.BytesIO(self.content), presentation), presentation.shape)
        except Exception as error:  # Pillow raises a dozen kinds for damaged files
            if out_of_memory(error):
                raise
            reason = reason_of(error) if self.content else "it is empty"
            raise ZooError(f"this is no image that can be read: {reason}") from error
        steps = [f"only the first of its {pages} pages"] if pages > 1 else []
        if size[0] * height != size[1] * width:
            steps.append(FITS[presentation.fit])
        if size != (width, height):
            steps.append(f"resized from {size[0]:,} × {size[1]:,} to {width} × {height}")
        if channels == 1 and mode not in ("1", "L", "I", "F", "I;16", "LA"):
            steps.append("made grey")
        if channels == 3 and self.grey:
            pixels = np.broadcast_to(pixels.mean(axis=0, dtype=np.float32).round().astype(np.uint8), pixels.shape)
            steps.append("made grey")
        images = torch.from_numpy(pixels.copy())[None]
        inverted = self.invert
        if inverted is None:
            inverted, reason = opposite_backgrounds(images, opened)
            steps += [f"inverted, because {reason}"] if inverted else []
        elif inverted:
            steps.append("inverted")
        return Seen(255 - images if inverted else images, tuple(steps), inverted)


def from_base64(text: str) -> bytes:
    """Return the content of a file that was sent as base64.

    Raises:
        ZooError: it is no base64, or longer than a file may be.
    """
    if len(text) > -(-MAX_FILE_BYTES // 3) * 4:
        raise ZooError(f"image files may have {MAX_FILE_BYTES // 2**20} MiB; make this one smaller")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ZooError("the image did not arrive whole; give it once more") from error


def test_image(opened: OpenModel, number: int) -> tuple[Tensor, Tensor | None]:
    """Return a test image, uint8 (1, C, H, W), and its label (1,), or None where there are none.

    Raises:
        ZooError: there is no such image.
        NotApplicable: the test images are not here.
    """
    test = opened.test
    if number >= len(test):
        raise ZooError(f"there is no test image {number:,}; the last is {len(test) - 1:,}")
    return test.images[number : number + 1], None if test.labels is None else test.labels[number : number + 1]


def as_file(image: Tensor) -> bytes:
    """Return the content of an image file that holds an image, uint8 (1, C, H, W)."""
    return encode_png(image[0].float() / 255)


def opposite_backgrounds(images: Tensor, opened: OpenModel) -> tuple[bool, str]:
    """Return whether images (N, 1, H, W) have a bright border and those of a model a dark one, or the reverse; and why.

    Images in colour are never opposite.
    """
    if images.shape[1] != 1:
        return False, ""
    own = background(opened)
    given = border_brightness(images)
    if own is None:
        return False, ""
    if given > BRIGHT and own < DARK:
        return True, "its background is bright and that of the model's images dark"
    if given < DARK and own > BRIGHT:
        return True, "its background is dark and that of the model's images bright"
    return False, ""


def background(opened: OpenModel) -> float | None:
    """Return how bright the borders of a model's test images are, in [0, 1]; None where they are not here."""
    try:
        return border_brightness(opened.test.first(BORDER_IMAGES).images)
    except NotApplicable:
        return None


def border_brightness(images: Tensor) -> float:
    """Return the mean of the pixels at the border of uint8 images (N, C, H, W), in [0, 1]."""
    pixels = images.float() / 255
    border = torch.cat([pixels[..., 0, :], pixels[..., -1, :], pixels[..., 1:-1, 0], pixels[..., 1:-1, -1]], dim=-1)
    return float(border.mean())


def in_words(shape: ImageShape) -> str:
    """Write the shape (C, H, W) of images for people: ``28 × 28, grey``."""
    channels, height, width = shape
    return f"{width} × {height}, {({1: 'grey', 3: 'in colour'}).get(channels, f'{channels} channels')}"
