"""Reconstructions of the same images in the course of a training: a strip, and an animation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from PIL import Image

from zoo.plotting.canvas import to_pixels
from zoo.plotting.grids import labelled_rows

if TYPE_CHECKING:  # figures are drawn in processes without torch, too
    from torch import Tensor

FRAME_MS, LAST_FRAME_MS = 400, 2000
"""The milliseconds that a frame is shown, and those of the last one."""

DIGIT_SPACE = "\N{FIGURE SPACE}"
"""A space as wide as a digit."""


def progress_strip(originals: Tensor, epochs: Sequence[int], reconstructions: Tensor) -> Figure:
    """Draw the originals (N, C, H, W), and below them reconstructions (S, N, C, H, W), a row for each epoch."""
    rows = [(f"epoch {epoch}", images) for epoch, images in zip(epochs, reconstructions, strict=True)]
    return labelled_rows([("original", originals), *rows])


def progress_gif(originals: Tensor, epochs: Sequence[int], reconstructions: Tensor) -> bytes:
    """Return the content of an animated GIF of what :func:`progress_strip` draws, one epoch a frame."""
    digits = len(str(max(epochs)))
    frames = []
    for epoch, images in zip(epochs, reconstructions, strict=True):
        label = f"epoch {str(epoch).rjust(digits, DIGIT_SPACE)}"  # as wide in every frame
        pixels = to_pixels(labelled_rows([("original", originals), (label, images)]))
        frames.append(Image.fromarray(pixels).convert("RGB").quantize(dither=Image.Dither.NONE))
    buffer = io.BytesIO()
    duration = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0, disposal=2)
    return buffer.getvalue()
