"""The posterior means of test images in two dimensions, coloured by class."""

from __future__ import annotations

from typing import Literal

import torch
from matplotlib.figure import Figure

from zoo import plotting
from zoo.errors import NotApplicable, ZooError
from zoo.figures import _latent_arithmetic as latents
from zoo.figures._context import FigureContext
from zoo.inference.loops import codes


def scatter(context: FigureContext, method: Literal["t-SNE", "PCA"]) -> Figure:
    """Draw the posterior means of test images in two dimensions, coloured by class."""
    first = context.test.first(context.options.count or 2000)
    if min(len(first) - 2, context.model.prior.latent_dim - 1) < 1:
        raise NotApplicable(f"{method} needs codes of at least two dimensions, of at least three images")
    labels = torch.zeros(len(first), dtype=torch.int64) if first.labels is None else first.labels
    means = codes(context.model, first, context.trained.dataset).cpu()
    try:
        points = latents.tsne(means, context.options.seed) if method == "t-SNE" else latents.pca(means)
    except ZooError as error:  # scikit-learn is not installed
        raise NotApplicable(str(error)) from error
    classes = range(0 if first.labels is None else int(labels.max()) + 1)
    names = [context.class_name(label) for label in classes]
    return plotting.scatter(points, labels, names, method)
