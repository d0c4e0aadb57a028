"""The common parts of all figures: images in tiles, axes without frames, colours, PNG files, several figures in one."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from zoo.errors import escaped
from zoo.system.lock import PROCESS_LOCK, warnings_ignored

if TYPE_CHECKING:  # figures are drawn in processes without torch, too
    from torch import Tensor

    Images: TypeAlias = Tensor | NDArray[np.float32]

TRAIN, TEST, VALIDATION = "#0072B2", "#D55E00", "#009E73"
"""The colours of the two splits, Okabe & Ito's blue and vermillion, which differ in every kind of colour vision and in
grey."""

CLASSES = (
    "#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677", "#AA4499", "#44AA99", "#882255", "#999933", "#000000",
)  # fmt: skip
"""The colours of classes: Paul Tol's muted scheme with black; the ten differ in every kind of colour vision."""

GAP = 2
"""The pixels between two images of a grid."""

CELL_INCHES = 0.7
"""The side of an image in a grid, in inches."""


class NotebookFigure(Figure):
    """A figure that notebooks show as the value of a cell, without pyplot."""

    def _repr_png_(self) -> bytes:
        return to_png(self)


def to_png(figure: Figure) -> bytes:
    """Return the content of a PNG file: the same bytes for the same figure, as few as possible without loss."""
    pixels = to_pixels(figure)[..., :3]  # no figure is transparent
    grey = bool((pixels == pixels[..., :1]).all())
    buffer, metadata = io.BytesIO(), PngInfo()
    metadata.add_text("Software", f"matplotlib {matplotlib.__version__}")
    Image.fromarray(pixels[..., 0] if grey else pixels).save(buffer, "png", optimize=True, pnginfo=metadata)
    return buffer.getvalue()


def to_array(images: Images) -> NDArray[np.float32]:
    """Return images of any shape as float32 on the host."""
    return images if isinstance(images, np.ndarray) else images.float().cpu().numpy()


def tile(images: Images, columns: int, gap: int = GAP) -> NDArray[np.float32]:
    """Return images (N, C, H, W) row by row on white: float32 (rows*(H+gap)-gap, columns*(W+gap)-gap, 3)."""
    n, _, h, w = images.shape
    rows = -(-n // columns)
    canvas = np.ones((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), dtype=np.float32)
    for index, image in enumerate(to_array(images).clip(0, 1)):
        y, x = (index // columns) * (h + gap), (index % columns) * (w + gap)
        canvas[y : y + h, x : x + w] = image.transpose(1, 2, 0)  # one grey channel spreads over three
    return canvas


P = ParamSpec("P")
R = TypeVar("R")

DEFAULTS = {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith("backend")}


def with_own_settings(draw: Callable[P, R]) -> Callable[P, R]:
    """Make a function draw with matplotlib's own settings, the same on every machine, whatever the user's are.

    The settings are global: one thread draws at a time.
    """

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with PROCESS_LOCK, matplotlib.rc_context(DEFAULTS):
            return draw(*args, **kwargs)

    return drawn


def literal(text: str) -> str:
    """Return text that matplotlib draws as it is, on one line: dollars begin no formula."""
    return escaped(text).replace("$", r"\$")


def literal_lines(text: str) -> str:
    """Return the same of several lines."""
    return "\n".join(map(literal, text.split("\n")))


def show(axes: Axes, canvas: NDArray[np.float32], title: str = "") -> None:
    """Show tiled images (H, W, 3) without ticks or frame."""
    axes.imshow(canvas, interpolation="nearest", aspect="equal")
    axes.set_title(literal(title), fontsize=10, loc="left")
    remove_frame(axes)


def remove_frame(axes: Axes, label: str = "") -> None:
    """Remove ticks and frame, and write a label at the left, for which the layout makes room."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_ylabel(literal_lines(label), rotation=0, ha="right", va="center", fontsize=9)


@with_own_settings
def to_pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return the pixels of the figure as it would be saved, uint8 (H, W, 4)."""
    canvas = FigureCanvasAgg(figure)
    with warnings_ignored("Glyph .* missing"):  # file names may be in any script
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())


BESIDE = 4
"""The number of figures that stand in a row."""


@with_own_settings
def side_by_side(figures: Mapping[str, Figure]) -> Figure:
    """Draw figures beside each other, four in a row, pixel by pixel, each below its name."""
    parts = [(name, to_pixels(figure)) for name, figure in figures.items()]
    rows = [parts[first : first + BESIDE] for first in range(0, len(parts), BESIDE)]
    dpi, title = 100, 30
    heights = [max(pixels.shape[0] for _, pixels in row) + title for row in rows]
    width, height = max(sum(pixels.shape[1] for _, pixels in row) for row in rows), sum(heights)
    combined = NotebookFigure((width / dpi, height / dpi), dpi=dpi)
    top = height
    for row, row_height in zip(rows, heights, strict=True):
        left = 0
        for name, pixels in row:
            combined.figimage(pixels, left, top - title - pixels.shape[0])
            x, y = (left + pixels.shape[1] / 2) / width, (top - title / 2) / height
            combined.text(x, y, literal(name), ha="center", va="center", fontsize=11, weight="bold")
            left += pixels.shape[1]
        top -= row_height
    return combined
