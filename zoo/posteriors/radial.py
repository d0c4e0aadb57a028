r"""A Gaussian deformed by radial flows (Rezende & Mohamed 2015, equation 14).

Each flow pulls the density towards a centre c, or pushes it away, with a force that fades with the distance r = |z -
c|. Centre, alpha > 0 and beta are linear in the features of the image, but for a softplus, and beta is bent to β̂ so
that the map is invertible (appendix A.2).

.. math::
    f(z) = z + \hat\beta\,h(r)\,(z - c), \qquad h(r) = \frac{1}{\alpha + r}, \quad
    \hat\beta = -\alpha + \mathrm{softplus}(\beta)

.. math::
    \log|\det| = (D-1)\log\big(1+\hat\beta h(r)\big) + \log\big(1+\hat\beta h(r) - \hat\beta h(r)^2 r\big)
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
