r"""A prior of couplings: a standard normal seen through an invertible network that is trained with the model.

The prior can take any shape that the codes want, with an exact density and exact samples. Each coupling scales and
shifts half of the dimensions by what the other half says, after a scale and a shift of each dimension (actnorm); at the
start f is the identity. The KL has no closed form, and is taken of the z that is decoded.

.. math::
    \log p(z) = \log\mathcal{N}\big(f(z);0,I\big) + \log\Big|\det\frac{\partial f}{\partial z}\Big|, \qquad
    \text{coupling: } [a, b] \mapsto [a,\ b\odot e^{\tanh s(a)} + t(a)]
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.models import Prior, StandardNormal
from zoo.models.flows import ActNorm, Coupling
from zoo.registry import register_prior
from zoo.schema.base import ImageShape, PriorConfig, Size


class FlowPriorConfig(PriorConfig):
    """The density of couplings, trained with the model."""

    name: Literal["flow"] = "flow"
    couplings: Size = Field(6, description="The number of couplings, which move the two halves of a code in turns.")
    hidden: Size = Field(64, description="Units of the two hidden layers of each coupling's network.")


class FlowPrior(Prior):
    """The density of z where f(z) ~ N(0, I); at the start f is the identity.

    Args:
        latent_dim: the dimensions D of a code.
        couplings: the number of couplings.
        hidden: the units of the hidden layers of their networks.
    """

    def __init__(self, latent_dim: int, couplings: int, hidden: int) -> None:
        super().__init__(latent_dim)
        self.base = StandardNormal(latent_dim)
        self.maps = nn.ModuleList(
            layer
            for index in range(couplings)
            for layer in (ActNorm(latent_dim), Coupling(latent_dim, hidden, flipped=bool(index % 2)))
        )

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n codes (n, D) on the device of the weights."""
        z = self.base.sample(n, generator).to(next(self.maps.parameters()).device)
        for layer in reversed(list(self.maps)):
            assert isinstance(layer, ActNorm | Coupling)
            z = layer.inverse(z)
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log N(f(z); 0, I) + log|det df/dz|, (..., D) → (...) nats."""
        total = z.new_zeros(z.shape[:-1])
        for layer in self.maps:
            z, log_det = layer(z)
            total = total + log_det
        return self.base.log_prob(z) + total


@register_prior(
    config=FlowPriorConfig,
    paper="Xu et al. 2019, arXiv:1905.13452; Dinh, Sohl-Dickstein & Bengio 2017, arXiv:1605.08803, equations 4 to 8",
)
def flow(config: FlowPriorConfig, latent_dim: int, shape: ImageShape) -> FlowPrior:
    """Build the couplings over codes of ``latent_dim`` dimensions.

    Raises:
        ZooError: the code has one dimension only.
    """
    if latent_dim < 2:
        raise ZooError("a coupling needs a code of two dimensions at least; raise latent_dim")
    return FlowPrior(latent_dim, config.couplings, config.hidden)
