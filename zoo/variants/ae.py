r"""The plain autoencoder (Hinton & Salakhutdinov 2006) on any network: a code without noise.

An encoder maps an image to a code of fewer numbers, a decoder maps it back, and both learn from the error. Nothing is
said of how codes are distributed, so that samples need a prior that is fitted afterwards or asked for by the objective.

.. math::
    z = \mathrm{enc}(x), \qquad \hat x = \mathrm{dec}(z)
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from zoo.models import Autoencoder
from zoo.networks import build_network
from zoo.networks.mlp import MLPSizes
from zoo.registry import NETWORKS, POSTERIORS, PRIORS, register_variant
from zoo.schema.base import ImageShape, NetworkConfig, PosteriorConfig, PriorConfig, Size, VariantConfig
from zoo.variants._assembled import on_network


class AEConfig(VariantConfig):
    """Autoencoder with a code without noise."""

    variant: Literal["ae"] = "ae"
    latent_dim: Size = Field(32, description="Dimensions of the code.")
    network: Annotated[NetworkConfig, NETWORKS] = Field(
        default_factory=lambda: NETWORKS.get("mlp").config(hidden=(512,)),
        description="The layers between images and codes.",
    )
    posterior: Annotated[PosteriorConfig, POSTERIORS] = Field(
        default_factory=lambda: POSTERIORS.get("point").config(), description="The code layer."
    )
    prior: Annotated[PriorConfig, PRIORS] = Field(
        default_factory=lambda: PRIORS.get("fitted_gaussian").config(),
        description="p(z), the distribution that codes are drawn from.",
    )

    @classmethod
    def from_older(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Read settings from before there were networks: their sizes are those of an MLP."""
        if "network" in fields:
            return fields
        sizes = {name: fields[name] for name in fields if name in MLPSizes.model_fields}
        others = {name: fields[name] for name in fields if name not in sizes}
        return {"network": {"name": "mlp", "hidden": [512], **sizes}, **others} if sizes else fields


@register_variant(
    config=AEConfig,
    paper="Hinton & Salakhutdinov 2006, Reducing the Dimensionality of Data with Neural Networks, Science 313",
    objective="reconstruction",
    tiny={"latent_dim": 4, "network": {"name": "mlp", "hidden": [32]}},
)
def ae(config: AEConfig, shape: ImageShape) -> Autoencoder:
    """Build the network's encoder, the code layer and the network's decoder."""
    network = build_network(config.network, shape, config.classes)
    return on_network(config, shape, network, config.latent_dim, config.posterior, config.prior)
