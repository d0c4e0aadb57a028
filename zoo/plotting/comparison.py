"""Several models in one picture: reconstructions of the same images, and samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from zoo.plotting.canvas import Picture, bare, show, tile

ROW_HEIGHT, LABEL_WIDTH, MARGIN = 0.75, 1.9, 0.15
"""Inches."""


@dataclass(frozen=True)
class ComparisonRow:
    """One model in a comparison."""

    label: str
    reconstructions: Tensor | None
    samples: Tensor


def comparison(originals: Tensor | None, rows: Sequence[ComparisonRow], note: str = "") -> Figure:
    """The test images, and below them each model's reconstructions, with its prior samples beside.

    Args:
        originals: (N, C, H, W), or None where there is no data.
        rows: one per model.
        note: what to say instead of the reconstructions.
    """
    columns = len(rows[0].samples)
    height, width = tile(rows[0].samples, columns).shape[:2]
    strips = 1 if originals is None else 2
    lines = len(rows) + strips - 1
    strip_width = ROW_HEIGHT * width / height
    size = (LABEL_WIDTH + strips * (strip_width + MARGIN), lines * (ROW_HEIGHT + MARGIN) + 4 * MARGIN)
    figure = Picture(size, dpi=150)

    def place(line: int, column: int, images: Tensor, title: str = "") -> Axes:
        left = LABEL_WIDTH + column * (strip_width + MARGIN)
        bottom = size[1] - 2 * MARGIN - line * (ROW_HEIGHT + MARGIN) - ROW_HEIGHT
        box = (left / size[0], bottom / size[1], strip_width / size[0], ROW_HEIGHT / size[1])
        axes = figure.add_axes(box)
        show(axes, tile(images, columns), title)
        return axes

    if originals is not None:
        bare(place(0, 0, originals, "reconstructions below the test images"), "test images")
    for line, row in enumerate(rows, strips - 1):
        title = "samples from the prior" if row is rows[0] else ""
        samples = place(line, strips - 1, row.samples, title)
        first = samples if row.reconstructions is None else place(line, 0, row.reconstructions)
        bare(first, row.label)
    figure.text(0.5, MARGIN / size[1], note, ha="center", va="center", fontsize=8)
    return figure
