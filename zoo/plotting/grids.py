"""Images in rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from zoo.plotting.canvas import CELL, Picture, bare, show, tile

LETTER = 0.075
"""Inches that a letter of a label takes."""


def labelled_rows(rows: Sequence[tuple[str, Tensor]], note: str = "") -> Figure:
    """A row of images (N, C, H, W) after each label, N the same for all; a note above them."""
    label_width = LETTER * max(len(label) for label, _ in rows) + 0.2
    columns = max(len(images) for _, images in rows)
    size = (columns * CELL + label_width, len(rows) * CELL + (0.35 if note else 0))
    figure = Picture(figsize=size, layout="constrained")
    for axes, (label, images) in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
        show(axes, tile(images, columns))
        bare(axes, label)
    figure.suptitle(note, fontsize=9)
    return figure


def reconstruction_grid(originals: Tensor, reconstructions: Tensor, columns: int = 10) -> Figure:
    """Rows of originals, each with its reconstructions directly below."""
    parts = zip(originals.split(columns), reconstructions.split(columns), strict=True)
    return labelled_rows([row for x, y in parts for row in (("original", x), ("reconstruction", y))])


def sample_grid(samples: Tensor, columns: int = 10) -> Figure:
    """Images in rows."""
    canvas = tile(samples, columns)
    height = columns * CELL * canvas.shape[0] / canvas.shape[1]
    figure = Picture(figsize=(columns * CELL, height), layout="constrained")
    show(figure.subplots(), canvas)
    return figure


def pairs(originals: Tensor, others: Tensor, titles: Sequence[str], columns: int = 8) -> Figure:
    """Each original (N, C, H, W) above its counterpart, below its title."""
    cells = [tile(torch.stack(pair), 1) for pair in zip(originals, others, strict=True)]
    return _below_titles(cells, titles, columns, width=1.15, height=2.35, fontsize=7)


def titled(images: Tensor, titles: Sequence[str], columns: int = 5) -> Figure:
    """Larger images (N, C, H, W), each below its title."""
    cells = [tile(image[None], 1) for image in images]
    return _below_titles(cells, titles, columns, width=1.6, height=1.9, fontsize=9)


def _below_titles(
    cells: Sequence[NDArray[np.float32]],
    titles: Sequence[str],
    columns: int,
    *,
    width: float,
    height: float,
    fontsize: int,
) -> Figure:
    """Cells of so many inches in rows."""
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    figure = Picture(figsize=(columns * width, rows * height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid[len(cells) :]:
        axes.axis("off")
    for axes, cell, title in zip(grid, cells, titles, strict=False):
        axes.imshow(cell, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color="0.8", linewidth=0.5)  # where a white picture ends
        axes.set_title(title, fontsize=fontsize, parse_math=False)
    return figure
