r"""A distance of images in place of -log p(x|z): weight times the distance, and beta times the KL.

What counts as a good reconstruction is chosen freely, and the code stays variational. The distance has no unit that the
KL could be held against, so that its weight decides how much the code may say. With MS-SSIM it is the loss of Snell et
al. 2017; with the likelihood's own -log p(x|z) and weight 1, the ELBO's.

.. math::
    \mathcal{L}(x) = w\, d(x, \hat x(z)) + \beta\,\mathrm{KL}\big(q(z|x)\,\|\,p(z)\big), \qquad z \sim q(z|x)
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from zoo.models.autoencoder import Model
from zoo.models.bounds import drawn_with_rate
from zoo.objectives import DistanceObjective, DistanceObjectiveConfig, Terms
from zoo.registry import register_objective
from zoo.schema.base import NonNegative, Positive


class DistanceKLConfig(DistanceObjectiveConfig):
    """A distance between image and reconstruction, and the KL."""

    name: Literal["distance_kl"] = "distance_kl"
    weight: Positive = Field(1.0, description="The weight of the distance; the KL is in nats per image.")
    beta: NonNegative = Field(1.0, description="The weight of the KL.")


@register_objective(
    config=DistanceKLConfig,
    paper="Snell et al. 2017, Learning to Generate Images with Perceptual Similarity Metrics, arXiv:1511.06409",
)
class DistanceKL(DistanceObjective):
    """The loss is weight * distance + beta * kl, per image."""

    def __init__(self, config: DistanceKLConfig) -> None:
        super().__init__(config)
        self.weight, self.beta, self.trains_prior = config.weight, config.beta, config.beta > 0

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction``, the unweighted distance, and ``kl`` in nats per image."""
        z, kls = drawn_with_rate(model.encode(x), model.prior)
        reconstruction, kl = self.compared(x, model.decode(z)), kls.sum(dim=1).mean()
        return {"loss": self.weight * reconstruction + self.beta * kl, "reconstruction": reconstruction, "kl": kl}
