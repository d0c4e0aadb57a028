"""Several models in one figure: reconstructions of the same images, and samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.plotting.canvas import NotebookFigure, literal, remove_frame, show, tile, with_own_settings

if TYPE_CHECKING:  # figures are drawn in processes without torch, too
    from torch import Tensor

ROW_HEIGHT, LABEL_WIDTH, MARGIN = 0.75, 1.9, 0.15
"""The height of a row, the width of its label and the space around each strip, in inches."""


@dataclass(frozen=True)
class ComparisonRow:
    """One model in a comparison."""

    label: str
    """The model's name at the left of its row."""
    reconstructions: Tensor | None
    """The reconstructions (N, C, H, W) of the test images, or None where there are none."""
    samples: Tensor
    """Samples (N, C, H, W) from the model's prior."""


@with_own_settings
def comparison(originals: Tensor | None, rows: Sequence[ComparisonRow], note: str = "") -> Figure:
    """Draw the test images, and below them each model's reconstructions, with samples from its prior beside.

    Args:
        originals: the test images (N, C, H, W), or None where they are not available.
        rows: the rows, one per model.
        note: a line below the rows.
    """
    columns = len(rows[0].samples)
    height, width = tile(rows[0].samples, columns).shape[:2]
    strips = 1 if originals is None else 2
    lines = len(rows) + strips - 1
    strip_width = ROW_HEIGHT * width / height
    size = (LABEL_WIDTH + strips * (strip_width + MARGIN), lines * (ROW_HEIGHT + MARGIN) + 4 * MARGIN)
    figure = NotebookFigure(size, dpi=150)

    def add_strip(line: int, column: int, images: Tensor, title: str = "") -> Axes:
        left = LABEL_WIDTH + column * (strip_width + MARGIN)
        bottom = size[1] - 2 * MARGIN - line * (ROW_HEIGHT + MARGIN) - ROW_HEIGHT
        box = (left / size[0], bottom / size[1], strip_width / size[0], ROW_HEIGHT / size[1])
        axes = figure.add_axes(box)
        show(axes, tile(images, columns), title)
        return axes

    if originals is not None:
        remove_frame(add_strip(0, 0, originals, "reconstructions below the test images"), "test images")
    for line, row in enumerate(rows, strips - 1):
        title = "samples from the prior" if row is rows[0] else ""
        samples = add_strip(line, strips - 1, row.samples, title)
        first = samples if row.reconstructions is None else add_strip(line, 0, row.reconstructions)
        remove_frame(first, row.label)
    figure.text(0.5, MARGIN / size[1], literal(note), ha="center", va="center", fontsize=8)
    return figure
