"""The pictures. Every function takes images as float (N, C, H, W) in [0, 1] and returns a matplotlib figure."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

TRAIN, TEST = "#0072B2", "#D55E00"
"""Okabe & Ito's blue and vermillion: told apart by every kind of colour vision, and in grey."""

GAP = 2
"""Pixels between two images of a grid."""

LONG = 20
"""Epochs from which loss curves are drawn over a logarithmic axis."""

ROW_HEIGHT, LABEL_WIDTH, MARGIN = 0.75, 1.9, 0.15
"""Inches, in a comparison."""


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file's content, the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": f"matplotlib {matplotlib.__version__}"})
    return buffer.getvalue()


def tile(images: Tensor, columns: int) -> NDArray[np.float32]:
    """Images (N, C, H, W) row by row on white: (rows*(H+GAP)-GAP, columns*(W+GAP)-GAP, 3)."""
    n, _, h, w = images.shape
    rows = -(-n // columns)
    canvas = np.ones((rows * (h + GAP) - GAP, columns * (w + GAP) - GAP, 3), dtype=np.float32)
    for index, image in enumerate(images.float().clamp(0, 1).cpu().numpy()):
        y, x = (index // columns) * (h + GAP), (index % columns) * (w + GAP)
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


def reconstruction_grid(originals: Tensor, reconstructions: Tensor, columns: int = 10) -> Figure:
    """Rows of originals, each with its reconstructions directly below."""
    pairs = [
        tile(images[start : start + columns], columns)
        for start in range(0, len(originals), columns)
        for images in (originals, reconstructions)
    ]
    figure = Figure(figsize=(columns * 0.7 + 1.4, len(pairs) * 0.7), layout="constrained")
    for axes, row, label in zip(
        figure.subplots(len(pairs), 1, squeeze=False)[:, 0],
        pairs,
        ["original", "reconstruction"] * (len(pairs) // 2),
        strict=True,
    ):
        show(axes, row)
        bare(axes, label)
    return figure


def sample_grid(samples: Tensor, columns: int = 10) -> Figure:
    """Samples in rows."""
    canvas = tile(samples, columns)
    figure = Figure(figsize=(columns * 0.7, columns * 0.7 * canvas.shape[0] / canvas.shape[1]), layout="constrained")
    show(figure.subplots(), canvas)
    return figure


def loss_curves(history: Sequence[Mapping[str, Any]], unit: str) -> Figure:
    """One panel per loss term, training and test, over epochs."""
    terms = {"loss": "total", **{name: name for name in history[-1]["train"] if name != "loss"}}
    if len(terms) == 2:  # one term is the total
        del terms["loss"]
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(4 * len(terms), 3.2), layout="constrained")
    for axes, (term, title) in zip(figure.subplots(1, len(terms), squeeze=False)[0], terms.items(), strict=True):
        for split, colour, style in (("train", TRAIN, "-"), ("test", TEST, "--")):
            values = [row[split][term] for row in history]
            axes.plot(epochs, values, style, color=colour, label=split, marker="o" if len(epochs) < 3 else None)
        axes.set_title(title.replace("kl", "KL"))
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        if len(epochs) > LONG:  # the first epochs, where most happens, get half the width
            axes.set_xscale("log")
            axes.set_xlabel("epoch (logarithmic)")
            axes.xaxis.set_major_formatter("{x:.0f}")
        else:
            axes.set_xticks(epochs if len(epochs) < 8 else range(0, len(epochs) + 1, 5))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return figure


@dataclass(frozen=True)
class Row:
    """One model in a comparison."""

    label: str
    reconstructions: Tensor | None
    samples: Tensor


def comparison(originals: Tensor | None, rows: Sequence[Row], note: str = "") -> Figure:
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
    figure = Figure(size, dpi=150)

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
