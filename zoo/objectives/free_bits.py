r"""Each dimension of the code has some nats for nothing, so that none collapses early (Kingma et al. 2016).

Below lambda nats a dimension costs nothing, so that nothing pulls it to the prior before the decoder has found a use
for it; above, its whole KL counts. The mean over the batch is taken before the maximum: images may share what is free.

.. math::
    \mathcal{L} = -\mathbb{E}_q[\log p(x|z)]
    + \sum_{d=1}^{D}\max\Big(\lambda,\ \frac1B\sum_{i=1}^{B}\mathrm{KL}\big(q(z_d|x_i)\,\|\,p(z_d)\big)\Big)
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.errors import ZooError
from zoo.models.autoencoder import Model
from zoo.models.bounds import elbo_parts
from zoo.objectives import Objective, Terms
from zoo.registry import register_objective
from zoo.schema.base import NonNegative, ObjectiveConfig


class FreeBitsConfig(ObjectiveConfig):
    """Evidence lower bound in which each dimension's KL costs nothing up to a number of nats."""

    name: Literal["free_bits"] = "free_bits"
    nats: NonNegative = Field(0.125, description="The free nats lambda of each dimension.")


@register_objective(config=FreeBitsConfig, paper="Kingma et al. 2016, arXiv:1606.04934, equation 15 and appendix C.8")
class FreeBits(Objective):
    """The loss is reconstruction + sum_d max(lambda, KL_d), each KL_d a mean over the batch."""

    def __init__(self, config: FreeBitsConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction`` and the whole ``kl``, in nats per image.

        Raises:
            ZooError: the KL is not known by dimension.
        """
        posterior = model.encode(x)
        if posterior.kl_per_dimension(model.prior) is None:
            raise ZooError(
                "free bits need the KL of each dimension, which this posterior and prior have not in closed form; "
                "choose a gaussian posterior and a standard_normal prior, or the objective 'elbo'"
            )
        reconstructions, parts = elbo_parts(model, x, posterior)
        reconstruction, each = reconstructions.mean(), parts.mean(dim=0)  # (D,)
        loss = reconstruction + torch.clamp(each, min=self.config.nats).sum()
        return {"loss": loss, "reconstruction": reconstruction, "kl": each.sum()}
