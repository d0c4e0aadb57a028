"""How reconstructions of the same images came about while a model was trained: a strip, and an animation."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from zoo.plotting.canvas import to_pixels
from zoo.plotting.grids import labelled_rows

FRAME, LAST = 400, 2000
"""Milliseconds that a frame is shown, and the last one."""

DIGIT_SPACE = "\N{FIGURE SPACE}"


def progress_strip(originals: Tensor, epochs: Sequence[int], reconstructions: Tensor) -> Figure:
    """The originals (N, C, H, W), below them a row for each epoch: reconstructions (S, N, C, H, W)."""
    rows = [(f"epoch {epoch}", images) for epoch, images in zip(epochs, reconstructions, strict=True)]
    return labelled_rows([("original", originals), *rows])


def progress_gif(originals: Tensor, epochs: Sequence[int], reconstructions: Tensor) -> bytes:
    """The same as an animated GIF, one epoch a frame."""
    digits = len(str(max(epochs)))
    frames = []
    for epoch, images in zip(epochs, reconstructions, strict=True):
        label = f"epoch {str(epoch).rjust(digits, DIGIT_SPACE)}"  # as wide in every frame
        pixels = to_pixels(labelled_rows([("original", originals), (label, images)]))
        frames.append(Image.fromarray(pixels).convert("RGB").quantize(dither=Image.Dither.NONE))
    buffer = io.BytesIO()
    duration = [FRAME] * (len(frames) - 1) + [LAST]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0, disposal=2)
    return buffer.getvalue()
