"""Quick stand-ins for the figures that a run ends with, which take twenty times as long to draw as a tiny training."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from zoo.plotting.canvas import tile

Pixels = NDArray[np.float32]


class Sketches:
    """What draws the figures of a run, as in ``zoo.plotting``: the same images and numbers as pixels, no matplotlib.

    Runs of the same models have the same sketches, and a tensor that no figure could show fails here as well.
    """

    @classmethod
    def drawn(cls, figures: Mapping[str, tuple[Any, ...]]) -> dict[str, bytes]:
        """Return the content of PNG files by their names, as :func:`zoo.training.drawing.drawn_here` does."""
        return {file: cls.to_png(getattr(cls, kind)(*arguments)) for file, (kind, *arguments) in figures.items()}

    @staticmethod
    def loss_curves(history: Sequence[Mapping[str, Any]], unit: str) -> Pixels:
        """Return a row of pixels that is another for other losses, (1, n, 3)."""
        losses = [[row["epoch"], row["train"], row["test"]] for row in history]
        row = np.frombuffer(json.dumps([losses, unit]).encode(), np.uint8)
        return np.repeat(row.astype(np.float32)[None, :, None] / 255, 3, axis=2)

    @staticmethod
    def reconstruction_grid(originals: Pixels, reconstructions: Pixels) -> Pixels:
        """Return the images in rows, and below them their reconstructions, (H, W, 3)."""
        return np.concatenate([tile(originals, 10), tile(reconstructions, 10)])

    @staticmethod
    def sample_grid(samples: Pixels) -> Pixels:
        """Return the images in rows, (H, W, 3)."""
        return tile(samples, 10)

    @staticmethod
    def to_png(pixels: Pixels) -> bytes:
        """Return the content of a PNG file that the zoo knows as one of its own."""
        buffer, metadata = io.BytesIO(), PngInfo()
        metadata.add_text("Software", "matplotlib 3 (a sketch of the tests)")
        Image.fromarray((pixels * 255).astype(np.uint8)).save(buffer, "png", compress_level=1, pnginfo=metadata)
        return buffer.getvalue()
