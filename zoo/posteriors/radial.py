"""A Gaussian deformed by radial flows (Rezende & Mohamed 2015, equation 14).

Each maps z to z + β̂ (z - c) / (α + r), r = |z - c|, around a centre c of the image's own; β̂ = -α + softplus(β) makes
the map invertible.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from zoo.models.flows import radial as radial_map
from zoo.posteriors._flow import Flow, FlowConfig, FlowHead
from zoo.registry import register_posterior


class RadialConfig(FlowConfig):
    """A Gaussian deformed by radial flows, whose parameters depend on the image."""

    name: Literal["radial"] = "radial"


@register_posterior(
    config=RadialConfig, paper="Rezende & Mohamed 2015, arXiv:1505.05770, equation 14; β̂ as in appendix A.2"
)
def radial(config: RadialConfig, features: int, latent_dim: int) -> FlowHead:
    """Build linear maps to mu, log sigma^2, and the centre (D), alpha and beta of each flow."""
    sizes = [latent_dim, 1, 1]

    def flow(parameters: Tensor) -> Flow:
        def deform(z: Tensor) -> tuple[Tensor, Tensor]:
            total = z.new_zeros(z.shape[:-1])
            for each in parameters.chunk(config.flows, dim=1):
                centre, alpha, beta = each.split(sizes, dim=1)
                z, log_det = radial_map(z, centre, F.softplus(alpha) + 1e-3, beta)
                total = total + log_det
            return z, total

        return deform

    return FlowHead(features, latent_dim, config.flows * sum(sizes), flow)
