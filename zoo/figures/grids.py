"""Images in rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from zoo.figures.canvas import CELL, Picture, bare, show, tile

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
    columns = min(columns, len(originals))
    rows = -(-len(originals) // columns)
    figure = Picture(figsize=(columns * 1.15, rows * 2.35), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid:
        axes.axis("off")
    for axes, original, other, title in zip(grid, originals, others, titles, strict=False):
        axes.imshow(tile(torch.stack([original, other]), 1), interpolation="nearest")
        axes.set_title(title, fontsize=7, parse_math=False)
    return figure


def titled(images: Tensor, titles: Sequence[str], columns: int = 5) -> Figure:
    """Larger images (N, C, H, W), each below its title."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Picture(figsize=(columns * 1.6, rows * 1.9), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid:
        axes.axis("off")
    for axes, image, title in zip(grid, images, titles, strict=False):
        axes.imshow(tile(image[None], 1), interpolation="nearest")
        axes.set_title(title, fontsize=9)
    return figure
