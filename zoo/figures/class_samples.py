"""Samples of each class, from a Gaussian fitted to the codes of its test images."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from zoo import plotting
from zoo.datasets import ImageSet
from zoo.figures import _latent_arithmetic as latents
from zoo.figures._context import FigureContext
from zoo.figures._gallery import COLUMNS
from zoo.registry import register_figure


@register_figure
def class_samples(context: FigureContext) -> Figure:
    """Samples of each class, from a Gaussian fitted to the codes of its test images."""
    rows = []
    labels = context.labels(context.test)
    for label in labels.unique().tolist():
        of_class = ImageSet(context.test.images[labels == label], labels[labels == label])
        with context.drawing():
            posterior = context.model.given(of_class.labels).encode(context.to_float(of_class.images))
            gaussian = latents.gaussian_of(posterior.rsample().cpu())
            z = gaussian.sample(context.count(COLUMNS), context.generator)
            rows.append((context.class_name(label), context.decode(z, torch.full((len(z),), label))))
    return plotting.labelled_rows(rows)
