"""What every picture is drawn with: images in tiles, bare axes, colours, PNG files, several figures in one."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

TRAIN, TEST = "#0072B2", "#D55E00"
"""Okabe & Ito's blue and vermillion: told apart by every kind of colour vision, and in grey."""

CLASSES = (
    "#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677", "#AA4499", "#44AA99", "#882255", "#999933", "#000000",
)  # fmt: skip
"""Paul Tol's muted scheme, with black: ten colours that every kind of colour vision tells apart."""

GAP = 2
"""Pixels between two images of a grid."""

CELL = 0.7
"""Inches that an image of a grid takes."""


class Picture(Figure):
    """A figure that notebooks show where it is the value of a cell, without pyplot."""

    def _repr_png_(self) -> bytes:
        return to_png(self)


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file's content, the same bytes for the same figure, and as few as can be without a loss."""
    pixels = to_pixels(figure)[..., :3]  # no picture is transparent
    grey = bool((pixels == pixels[..., :1]).all())
    buffer, about = io.BytesIO(), PngInfo()
    about.add_text("Software", f"matplotlib {matplotlib.__version__}")
    Image.fromarray(pixels[..., 0] if grey else pixels).save(buffer, "png", optimize=True, pnginfo=about)
    return buffer.getvalue()


def tile(images: Tensor, columns: int, gap: int = GAP) -> NDArray[np.float32]:
    """Images (N, C, H, W) row by row on white: (rows*(H+gap)-gap, columns*(W+gap)-gap, 3)."""
    n, _, h, w = images.shape
    rows = -(-n // columns)
    canvas = np.ones((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), dtype=np.float32)
    for index, image in enumerate(images.float().clamp(0, 1).cpu().numpy()):
        y, x = (index // columns) * (h + gap), (index % columns) * (w + gap)
        canvas[y : y + h, x : x + w] = image.transpose(1, 2, 0)  # one grey channel spreads over three
    return canvas


def show(axes: Axes, canvas: NDArray[np.float32], title: str = "") -> None:
    """A tiled picture without ticks or frame."""
    axes.imshow(canvas, interpolation="nearest", aspect="equal")
    axes.set_title(title, fontsize=10, loc="left")
    bare(axes)


def bare(axes: Axes, label: str = "") -> None:
    """No ticks, no frame; a label at the left that the layout makes room for."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)


def to_pixels(figure: Figure) -> NDArray[np.uint8]:
    """The figure as it would be saved: (H, W, 4)."""
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names of files may be in any script
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def side_by_side(figures: Mapping[str, Figure]) -> Figure:
    """Figures beside each other, pixel by pixel, each below its name."""
    pictures = {name: to_pixels(figure) for name, figure in figures.items()}
    dpi, title = 100, 30
    width = sum(picture.shape[1] for picture in pictures.values())
    height = max(picture.shape[0] for picture in pictures.values()) + title
    whole = Picture((width / dpi, height / dpi), dpi=dpi)
    left = 0
    for name, picture in pictures.items():
        whole.figimage(picture, left, height - title - picture.shape[0])
        middle = (left + picture.shape[1] / 2) / width
        whole.text(middle, 1 - title / 2 / height, name, ha="center", va="center", fontsize=11, weight="bold")
        left += picture.shape[1]
    return whole
