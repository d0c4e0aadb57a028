"""A map of a two-dimensional code, over the quantiles of the prior."""

from __future__ import annotations

from matplotlib.figure import Figure

from zoo import plotting
from zoo.errors import NotApplicable
from zoo.figures import _latent_arithmetic as latents
from zoo.figures._context import MAX_MAP_SIDE, FigureContext
from zoo.models.priors import StandardNormal
from zoo.registry import register_figure


@register_figure
def manifold(context: FigureContext) -> Figure:
    """A map of a two-dimensional code, over the quantiles of the prior."""
    prior = context.model.prior
    if prior.latent_dim != 2:
        raise NotApplicable(f"a map needs a two-dimensional code; this one has {prior.latent_dim} dimensions")
    if type(prior) is not StandardNormal:  # no subclass either: its density may be another
        raise NotApplicable("a map needs a code with a standard normal prior")
    values = latents.normal_quantiles(context.count(20, MAX_MAP_SIDE))
    with context.drawing():
        return plotting.manifold_map(context.decode(latents.square(values)), values)
