"""Images along a path between the codes of two test images."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from zoo import plotting
from zoo.errors import NotApplicable, ZooError
from zoo.figures import _latent_arithmetic as latents
from zoo.figures._context import FigureContext
from zoo.figures._gallery import COLUMNS
from zoo.registry import register_figure


@register_figure
def interpolation(context: FigureContext) -> Figure:
    """Images along a path between the codes of two test images, which are themselves the first and the last column."""
    rows = []
    steps = max(2, context.count(COLUMNS))
    with context.drawing():
        for name, ends in interpolated(context).items():
            x = context.to_float(context.test.images[list(ends)])
            y = torch.zeros(2, dtype=torch.int64) if context.test.labels is None else context.test.labels[list(ends)]
            between = images_between(context, x, y, steps, spherical=context.options.path == "spherical")
            rows.append((name, torch.cat([x[:1].cpu(), between, x[1:].cpu()])))
    return plotting.labelled_rows(rows, f"{context.options.path} interpolation between the images at both ends")


def images_between(context: FigureContext, x: Tensor, y: Tensor, steps: int, *, spherical: bool) -> Tensor:
    """Return the images (steps, C, H, W) along a path between the codes of two.

    Args:
        context: the model.
        x: the two images (2, C, H, W), on the model's device.
        y: their labels (2,); a conditional model changes from the one to the other in the middle.
        steps: the number of images, both ends included.
        spherical: go along a great circle instead of straight.
    """
    start, end = context.model.given(y).encode(x).mean
    z = latents.interpolate(start, end, steps, spherical)
    return context.decode(z, torch.where(torch.arange(steps) >= steps / 2, y[1], y[0]))


def interpolated(context: FigureContext) -> dict[str, tuple[int, int]]:
    """Return each row's label and the indices of its two test images: of two classes, or any two without classes.

    Raises:
        NotApplicable: there is only one image, or one class.
        ZooError: the dataset has no such classes.
    """
    labels = context.test.labels
    if labels is None:
        labels = torch.arange(len(context.test.first(2 * COLUMNS)))
    present = labels.unique().tolist()
    if len(present) < 2:
        raise NotApplicable("an interpolation needs test images of two classes")
    pairs = list(zip(present[::2], [*present[1::2], present[0]], strict=False))  # an odd one out goes with the first
    if context.options.between:
        pairs = [context.options.between]
    ends = {}
    for pair in pairs[:COLUMNS]:
        if pair[0] == pair[1] or not set(pair) <= set(present):
            raise ZooError(f"choose two different classes of {', '.join(map(str, present))}, as in --between 3,5")
        first, last = (int((labels == label).nonzero()[0, 0]) for label in pair)
        names = map(context.class_name, pair) if context.test.labels is not None else map(str, pair)
        ends[" \N{RIGHTWARDS ARROW} ".join(names)] = (first, last)
    return ends
