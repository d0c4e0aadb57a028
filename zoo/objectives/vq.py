r"""The loss of a vector-quantised VAE (van den Oord et al. 2017, equation 3).

The decoder gets the nearest vectors e of the codebook in place of the encoder's features, and its gradient passes
straight through to them; the commitment keeps the features near their vectors. The term of the codebook in that
equation is left out: the codebook follows by moving averages and gets no gradient (sg).

.. math::
    \mathcal{L}(x) = d(x, \hat x) + \beta\sum_{\text{places}}\|z - \mathrm{sg}[e]\|^2
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from zoo.errors import ZooError
from zoo.models.autoencoder import Model
from zoo.objectives import DistanceObjective, DistanceObjectiveConfig, Terms
from zoo.registry import register_objective
from zoo.schema.base import NonNegative


class VQConfig(DistanceObjectiveConfig):
    """Reconstruction and commitment to a codebook."""

    name: Literal["vq"] = "vq"
    beta: NonNegative = Field(
        0.25, description="The weight of the commitment, the features' distance from the codebook."
    )


@register_objective(
    config=VQConfig,
    paper="van den Oord et al. 2017, Neural Discrete Representation Learning, arXiv:1711.00937",
)
class VectorQuantization(DistanceObjective):
    """The loss is reconstruction + beta * commitment, per image."""

    trains_prior = False

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config)
        self.beta = config.beta

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction`` and the unweighted ``commitment``.

        Raises:
            ZooError: the model has no codebook.
        """
        posterior = model.encode(x)
        if not hasattr(posterior, "commitment"):  # torch.compile cannot trace isinstance of a protocol
            raise ZooError("the objective 'vq' needs a variant with a codebook, such as 'vq_vae'")
        reconstruction = self.compared(x, model.decode(posterior.mean))
        commitment = posterior.commitment().mean()
        loss = reconstruction + self.beta * commitment
        return {"loss": loss, "reconstruction": reconstruction, "commitment": commitment}
