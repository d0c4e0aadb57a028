"""Reconstructions of the same test images as training went on."""

from __future__ import annotations

from matplotlib.figure import Figure

from zoo import plotting
from zoo.figures._context import FigureContext
from zoo.registry import register_figure


@register_figure
def progress(context: FigureContext) -> Figure:
    """Reconstructions of the same test images as training went on; with ``--out NAME.gif`` as an animation."""
    snapshots = context.trained.snapshots
    return plotting.progress_strip(snapshots.originals, snapshots.epochs, snapshots.reconstructions)
