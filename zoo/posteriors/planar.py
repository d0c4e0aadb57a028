r"""A Gaussian deformed by planar flows (Rezende & Mohamed 2015, equations 10 to 13).

Each flow stretches or compresses the density along one direction, at a plane that the image chooses; several of them
give densities that no Gaussian has. The numbers u, w and b are linear in the features of the image, and u is moved
along w, to û, so that the map is invertible (appendix A.1).

.. math::
    f(z) = z + \hat u\tanh(w^\top z + b), \qquad
    \hat u = u + \big(\mathrm{softplus}(w^\top u) - 1 - w^\top u\big)\frac{w}{\|w\|^2}

.. math::
    \log q(z_T|x) = \log q_0(z_0|x)
    - \sum_{t=1}^{T}\log\big(1 + (1-\tanh^2(w_t^\top z_{t-1} + b_t))\,w_t^\top\hat u_t\big)
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from zoo.models.flows import planar as planar_map
from zoo.posteriors._flow import Flow, FlowConfig, FlowHead
from zoo.registry import register_posterior


class PlanarConfig(FlowConfig):
    """A Gaussian deformed by planar flows, whose parameters depend on the image."""

    name: Literal["planar"] = "planar"


@register_posterior(
    config=PlanarConfig, paper="Rezende & Mohamed 2015, arXiv:1505.05770, equations 10 to 13; û as in appendix A.1"
)
def planar(config: PlanarConfig, features: int, latent_dim: int) -> FlowHead:
    """Build linear maps to mu, log sigma^2, and u, w (D) and b of each flow."""
    sizes = [latent_dim, latent_dim, 1]

    def flow(parameters: Tensor) -> Flow:
        def deform(z: Tensor) -> tuple[Tensor, Tensor]:
            total = z.new_zeros(z.shape[:-1])
            for each in parameters.chunk(config.flows, dim=1):
                z, log_det = planar_map(z, *each.split(sizes, dim=1))
                total = total + log_det
            return z, total

        return deform

    return FlowHead(features, latent_dim, config.flows * sum(sizes), flow)
