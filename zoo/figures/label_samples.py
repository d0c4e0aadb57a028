"""Samples of a conditional model, a row for each label."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from zoo import plotting
from zoo.errors import NotApplicable
from zoo.figures._context import FigureContext
from zoo.figures._gallery import COLUMNS
from zoo.registry import register_figure


@register_figure
def label_samples(context: FigureContext) -> Figure:
    """Samples of a conditional model, a row for each label; the code is the same down a column."""
    classes = context.model.classes
    if not classes:
        raise NotApplicable("samples by label need a conditional model, such as conditional_vae_mnist")
    with context.drawing():
        z = context.model.prior.sample(context.count(COLUMNS), context.generator)
        rows = [
            (context.class_name(label), context.decode(z, torch.full((len(z),), label))) for label in range(classes)
        ]
    return plotting.labelled_rows(rows)
