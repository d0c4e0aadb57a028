r"""A Gaussian deformed by inverse autoregressive flows (Kingma et al. 2016, algorithm 1).

Given the image, the dimensions of a diagonal Gaussian are independent, which the true posterior's are not. Each flow
scales and shifts a dimension by what the dimensions before it and the image say, so that the density of a draw follows
from the scales alone. After each flow the order of the dimensions is reversed.

.. math::
    z_t = \sigma_t\odot z_{t-1} + (1-\sigma_t)\odot m_t, \qquad
    [m_t, s_t] = \mathrm{MADE}_t\big(z_{t-1}, h(x)\big), \quad \sigma_t = \mathrm{sigmoid}(s_t + b)

.. math::
    \log q(z_T|x) = \log\mathcal{N}(z_0;\mu,\sigma^2) - \sum_{t=1}^{T}\sum_{d=1}^{D}\log\sigma_{t,d}

The number b is `forget_bias`: the larger it is, the less the flows do at the start.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.models import GaussianHead
from zoo.models.flows import MADE
from zoo.models.numerics import at_least_float32
from zoo.posteriors._flow import Deformed, FlowConfig
from zoo.registry import register_posterior
from zoo.schema.base import Positive, Size


class IAFConfig(FlowConfig):
    """A Gaussian deformed by inverse autoregressive flows, which see the image's features."""

    name: Literal["iaf"] = "iaf"
    hidden: Size = Field(64, description="Units of the hidden layer of each flow's network.")
    context: Size = Field(32, description="Values of the image that each flow's network is given.")
    forget_bias: Positive = Field(
        1.5, description="The number added before the sigmoid of each scale; a large one makes the flows do little."
    )


class IAFHead(nn.Module):
    """Linear maps from features (B, F) to a Gaussian and a context, and the networks of the flows."""

    def __init__(self, config: IAFConfig, features: int, latent_dim: int) -> None:
        super().__init__()
        self.base = GaussianHead(features, latent_dim)
        self.context = nn.Linear(features, config.context)
        self.networks = nn.ModuleList(MADE(latent_dim, config.hidden, 2, config.context) for _ in range(config.flows))
        self.forget_bias = config.forget_bias

    def forward(self, h: Tensor) -> Any:
        """Return q(z|x) of features h (B, F)."""
        context = at_least_float32(self.context(h))

        def deform(z: Tensor) -> tuple[Tensor, Tensor]:
            total = z.new_zeros(z.shape[:-1])
            for network in self.networks:
                m, s = network(z, context)
                log_scale = F.logsigmoid(s + self.forget_bias)
                scale = log_scale.exp()
                z = (scale * z + (1 - scale) * m).flip(-1)  # the next one goes through the dimensions from the end
                total = total + log_scale.sum(dim=-1)
            return z, total

        return Deformed(self.base(h), deform)


@register_posterior(config=IAFConfig, paper="Kingma et al. 2016, arXiv:1606.04934, equations 10 to 14, algorithm 1")
def iaf(config: IAFConfig, features: int, latent_dim: int) -> IAFHead:
    """Build the code layer.

    Raises:
        ZooError: the code has one dimension only.
    """
    if latent_dim < 2:
        raise ZooError("an autoregressive flow needs a code of two dimensions at least; raise latent_dim")
    return IAFHead(config, features, latent_dim)
