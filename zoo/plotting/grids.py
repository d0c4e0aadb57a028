"""Grids of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from zoo.plotting.canvas import (
    CELL_INCHES,
    NotebookFigure,
    literal,
    literal_lines,
    remove_frame,
    show,
    tile,
    to_array,
    with_own_settings,
)

if TYPE_CHECKING:  # figures are drawn in processes without torch, too
    from torch import Tensor

    from zoo.plotting.canvas import Images

LETTER_INCHES = 0.075
"""The width of a letter of a label, in inches."""


@with_own_settings
def labelled_rows(rows: Sequence[tuple[str, Images]], note: str = "") -> Figure:
    """Draw a row of images (N, C, H, W) after each label, with the same N in all rows, and a note above them."""
    label_width = LETTER_INCHES * max(len(label) for label, _ in rows) + 0.2
    columns = max(len(images) for _, images in rows)
    size = (columns * CELL_INCHES + label_width, len(rows) * CELL_INCHES + (0.35 if note else 0))
    figure = NotebookFigure(figsize=size, layout="constrained")
    for axes, (label, images) in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
        show(axes, tile(images, columns))
        remove_frame(axes, label)
    figure.suptitle(literal(note), fontsize=9)
    return figure


def reconstruction_grid(originals: Images, reconstructions: Images, columns: int = 10) -> Figure:
    """Draw rows of originals (N, C, H, W), each row with its reconstructions directly below."""
    rows: list[tuple[str, Images]] = []
    for start in range(0, len(originals), columns):
        part = slice(start, start + columns)
        rows += [("original", originals[part]), ("reconstruction", reconstructions[part])]
    return labelled_rows(rows)


@with_own_settings
def sample_grid(samples: Images, columns: int = 10) -> Figure:
    """Draw images (N, C, H, W) in rows."""
    canvas = tile(samples, columns)
    height = columns * CELL_INCHES * canvas.shape[0] / canvas.shape[1]
    figure = NotebookFigure(figsize=(columns * CELL_INCHES, height), layout="constrained")
    show(figure.subplots(), canvas)
    return figure


def pairs(originals: Tensor, others: Tensor, titles: Sequence[str], columns: int = 8) -> Figure:
    """Draw each of the originals (N, C, H, W) below its title and above its counterpart in ``others``."""
    cells = [tile(np.stack([to_array(image) for image in pair]), 1) for pair in zip(originals, others, strict=True)]
    return _below_titles(cells, titles, columns, width=1.15, height=2.35, fontsize=7)


def titled(images: Tensor, titles: Sequence[str], columns: int = 5) -> Figure:
    """Draw images (N, C, H, W) in a larger size, each below its title."""
    cells = [tile(image[None], 1) for image in images]
    return _below_titles(cells, titles, columns, width=1.6, height=1.9, fontsize=9)


@with_own_settings
def _below_titles(
    cells: Sequence[NDArray[np.float32]],
    titles: Sequence[str],
    columns: int,
    *,
    width: float,
    height: float,
    fontsize: int,
) -> Figure:
    """Draw cells of ``width`` x ``height`` inches in rows, each below its title."""
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    figure = NotebookFigure(figsize=(columns * width, rows * height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid[len(cells) :]:
        axes.axis("off")
    for axes, cell, title in zip(grid, cells, titles, strict=False):
        axes.imshow(cell, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color="0.8", linewidth=0.5)  # the border of a white image
        axes.set_title(literal_lines(title), fontsize=fontsize)
    return figure
