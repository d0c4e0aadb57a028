"""What a vector-quantised VAE minimises (van den Oord et al. 2017, equation 3).

The codebook's own term of that equation is left out: the codebook follows by moving averages and gets no gradient.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from zoo.autoencoder import Model
from zoo.codebook import Quantized
from zoo.errors import ZooError
from zoo.objective import DistanceConfig, Objective, Terms
from zoo.registry import register_objective
from zoo.schema.base import NonNegative


class VQConfig(DistanceConfig):
    """How far a reconstruction is from its image, and how much the encoder has to keep to the codebook."""

    beta: NonNegative = Field(0.25, description="Weight of the commitment, the features' distance from the codebook.")


@register_objective(
    "vq",
    config=VQConfig,
    summary="reconstruction and commitment to a codebook",
    paper="van den Oord et al. 2017, Neural Discrete Representation Learning, arXiv:1711.00937",
)
class VectorQuantization(Objective):
    """reconstruction + beta * commitment, per image."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.config, self.unit = config, config.unit

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """``loss``, ``reconstruction`` and the unweighted ``commitment``.

        Raises:
            ZooError: the model has no codebook.
        """
        posterior = model.encode(x)
        if not isinstance(posterior, Quantized):
            raise ZooError("the objective 'vq' needs a variant with a codebook, such as 'vq_vae'")
        reconstruction = self.config.between(x, model.decode(posterior.mean))
        commitment = posterior.commitment().mean()
        loss = reconstruction + self.config.beta * commitment
        return {"loss": loss, "reconstruction": reconstruction, "commitment": commitment}
