r"""A sliced Wasserstein autoencoder: codes are drawn to the prior in random one-dimensional projections.

In one dimension the Wasserstein distance of two samples is that of their sorted values, so the distance of the codes
from draws of the prior is a mean over random directions, without kernel or adversary (Kolouri et al. 2019, algorithm
1). Directions and draws are new in every batch.

.. math::
    \mathcal{L} = d(x, \hat x) + \lambda\,\frac1L\sum_{l=1}^{L}\frac1B\sum_{i=1}^{B}
    \big(\mathrm{sort}(\theta_l^\top z)_i - \mathrm{sort}(\theta_l^\top \tilde z)_i\big)^2, \qquad
    \tilde z \sim p(z),\ \|\theta_l\| = 1

The authors' notebook has binary cross-entropy and absolute error, both means over pixels, and 10 times the distance:
per image of 784 pixels, both sums and a weight of 7840, with D = 2, 50 directions and batches of 500.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from zoo.models.autoencoder import Model
from zoo.objectives import DistanceObjective, DistanceObjectiveConfig, Terms
from zoo.objectives._codes import prior_draws, sliced_wasserstein
from zoo.registry import register_objective
from zoo.schema.base import NonNegative


class SWAEConfig(DistanceObjectiveConfig):
    """Reconstruction, and the sliced Wasserstein distance between the batch's codes and the prior."""

    name: Literal["swae"] = "swae"
    weight: NonNegative = Field(7840.0, description="The weight λ of SW², beside the distance per image.")
    directions: Annotated[int, Field(ge=1, le=10_000)] = Field(
        50, description="Directions that codes are projected on, drawn anew for every batch."
    )


@register_objective(
    config=SWAEConfig,
    paper="Kolouri, Pope, Martin & Rohde 2019, Sliced Wasserstein Auto-Encoders, ICLR, arXiv:1804.01947",
)
class SWAE(DistanceObjective):
    """The loss is reconstruction + weight * sliced_wasserstein, which is of the batch, not of an image."""

    trains_prior = False
    of_batch = True

    def __init__(self, config: SWAEConfig) -> None:
        super().__init__(config)
        self.config = config
        self.unit = f"{self.unit}; sliced_wasserstein of a batch"

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction`` and the unweighted ``sliced_wasserstein``, squared.

        Raises:
            ZooError: the codes are discrete.
        """
        z = model.encode(x).rsample()
        reconstruction = self.compared(x, model.decode(z))
        found = sliced_wasserstein(z, prior_draws(model, z, "swae"), self.config.directions)
        loss = reconstruction + self.config.weight * found
        return {"loss": loss, "reconstruction": reconstruction, "sliced_wasserstein": found}
