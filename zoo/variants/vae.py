"""The variational autoencoder (Kingma & Welling 2014) on any network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.errors import ZooError
from zoo.models import Autoencoder
from zoo.networks import build_network
from zoo.registry import NETWORKS, register_variant
from zoo.schema.base import ImageShape, NetworkConfig, Size, VariantConfig
from zoo.variants._gaussian import gaussian_vae


class VAEConfig(VariantConfig):
    """VAE with a Gaussian code on a network of choice."""

    variant: Literal["vae"] = "vae"
    latent_dim: Size = Field(20, description="Dimensions of the code.")
    network: Annotated[NetworkConfig, NETWORKS] = Field(
        default_factory=lambda: NETWORKS.get("mlp").config(), description="The layers between images and codes."
    )


@register_variant(
    config=VAEConfig,
    paper="Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114",
    tiny={"latent_dim": 4, "network": {"name": "mlp", "hidden": [16]}},
)
def vae(config: VAEConfig, shape: ImageShape) -> Autoencoder:
    """Build the network's encoder, (mu, logvar), the network's decoder.

    Raises:
        ZooError: the network's features are a map, which has no flat Gaussian code.
    """
    network = build_network(config.network, shape)
    if len(network.features) > 1:
        raise ZooError(f"the features of the network {config.network.name!r} are a map; choose mlp, conv or conv_pool")
    return gaussian_vae(config, shape, network, config.latent_dim)
