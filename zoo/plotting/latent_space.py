"""The space of codes: a map of it, points in it by class, and how much of a codebook is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from zoo.plotting.canvas import CLASSES, TRAIN, NotebookFigure, literal, tile, with_own_settings

if TYPE_CHECKING:  # figures are drawn in processes without torch, too
    from torch import Tensor

MARKERS = "osD^vP"
"""The markers of classes; neighbouring classes have different ones, so that they differ without colour as well."""

LEGEND_ROWS = 24
"""The most classes in a column of the legend."""


@with_own_settings
def manifold_map(images: Tensor, coordinates: Tensor) -> Figure:
    """Draw images that were decoded over a square of codes.

    Args:
        images: the images (n*n, C, H, W), row by row from the top: the first row has the largest z_2, and z_1 grows
            along a row.
        coordinates: the n values of z_1, and of z_2 from the bottom up.
    """
    n = len(coordinates)
    canvas = tile(images, n, gap=0)
    figure = NotebookFigure(figsize=(7.2, 7.2 * canvas.shape[0] / canvas.shape[1]), layout="constrained")
    axes = figure.subplots()
    axes.imshow(canvas, extent=(0, n, 0, n), aspect="auto", interpolation="nearest")
    shown = np.unique(np.linspace(0, n - 1, min(n, 6 + n % 2)).round().astype(int))  # symmetric
    labels = [f"{coordinates[i]:.2f}" for i in shown]
    axes.set_xticks(shown + 0.5, labels, fontsize=8)
    axes.set_yticks(shown + 0.5, labels, fontsize=8)
    axes.set_xlabel("$z_1$")
    axes.set_ylabel("$z_2$")
    return figure


@with_own_settings
def scatter(points: Tensor, labels: Tensor, names: Sequence[str], axis: str) -> Figure:
    """Draw points by class, with a legend beside them.

    Args:
        points: the coordinates (N, 2).
        labels: the class of each point, (N,).
        names: the names of the classes, by label; empty where there are no classes.
        axis: the name of the coordinates, such as ``"t-SNE"``.
    """
    figure = NotebookFigure(figsize=(7.6, 6), layout="constrained")
    axes = figure.subplots()
    for number in sorted(set(labels.tolist())):
        x, y = points[labels == number].T
        marker = MARKERS[(number // len(CLASSES) + number) % len(MARKERS)]
        colour = CLASSES[number % len(CLASSES)]
        name = legend_entry(names[number]) if names else None
        axes.scatter(x, y, s=9, marker=marker, color=colour, alpha=0.75, linewidths=0, label=name)
    axes.set_xlabel(literal(f"{axis} 1"))
    axes.set_ylabel(literal(f"{axis} 2"))
    if names:
        columns = -(-len(names) // LEGEND_ROWS)
        figure.set_figwidth(7.6 + 1.2 * (columns - 1))
        figure.legend(loc="outside right upper", frameon=False, markerscale=2.5, fontsize=9, ncols=columns)
    return figure


def legend_entry(name: str) -> str:
    """Return the name of a class as a legend shows it, where matplotlib would leave out one that begins with ``_``."""
    return f" {literal(name)}" if name.startswith("_") else literal(name)


@with_own_settings
def codebook_use(counts: Tensor, perplexity: float) -> Figure:
    """Draw how often each vector of a codebook is used, the most used first.

    Args:
        counts: the number of uses of each vector, (K,).
        perplexity: the effective number of vectors in use.
    """
    share = 100 * counts.sort(descending=True).values.double() / counts.sum()
    used = int((counts > 0).sum())
    figure = NotebookFigure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(range(len(share)), share, step="mid", color=TRAIN, alpha=0.8)
    axes.axhline(100 / len(share), color="black", linewidth=1, linestyle="--", label="all alike")
    axes.set(
        xlim=(0, len(share) - 1), ylim=(0, None), xlabel="vector, the most used first", ylabel="share of places, %"
    )
    axes.set_title(f"{used} of {len(share)} vectors are used; perplexity {perplexity:.0f}", fontsize=10)
    axes.legend(frameon=False)
    return figure
