"""Images of random vectors of a codebook."""

from __future__ import annotations

from matplotlib.figure import Figure

from zoo.errors import NotApplicable
from zoo.figures._context import FigureContext
from zoo.figures.samples import samples
from zoo.registry import register_figure


@register_figure
def random_codes(context: FigureContext) -> Figure:
    """Images decoded from vectors of the codebook that are drawn at random, all equally likely."""
    if not context.model.prior.num_codes:
        raise NotApplicable("random vectors of a codebook need a model with one, such as vq_vae_fashion_mnist")
    return samples(context)
