r"""The variational autoencoder (Kingma & Welling 2014) with any network, posterior, prior and likelihood.

An encoder gives a distribution q(z|x) of codes in place of one, a decoder a distribution p(x|z) of images, and a prior
p(z) says where codes come from. Together they bound the likelihood of an image from below, and both networks are
trained to raise the bound. With `classes`, both are given the image's label y (Sohn et al. 2015), and the bound is on
log p(x|y).

.. math::
    \log p(x) \ge \mathbb{E}_{q(z|x)}[\log p(x|z)] - \mathrm{KL}\big(q(z|x)\,\|\,p(z)\big)
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.models import Autoencoder
from zoo.networks import build_network
from zoo.registry import NETWORKS, POSTERIORS, PRIORS, register_variant
from zoo.schema.base import ImageShape, NetworkConfig, PosteriorConfig, PriorConfig, Size, VariantConfig
from zoo.variants._assembled import on_network


class VAEConfig(VariantConfig):
    """VAE with a network, a posterior and a prior of choice."""

    variant: Literal["vae"] = "vae"
    latent_dim: Size = Field(20, description="Dimensions of the code.")
    network: Annotated[NetworkConfig, NETWORKS] = Field(
        default_factory=lambda: NETWORKS.get("mlp").config(), description="The layers between images and codes."
    )
    posterior: Annotated[PosteriorConfig, POSTERIORS] = Field(
        default_factory=lambda: POSTERIORS.get("gaussian").config(),
        description="q(z|x), the distribution of the code of an image.",
    )
    prior: Annotated[PriorConfig, PRIORS] = Field(
        default_factory=lambda: PRIORS.get("standard_normal").config(),
        description="p(z), the distribution that codes are drawn from.",
    )


@register_variant(
    config=VAEConfig,
    paper="Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114",
    tiny={"latent_dim": 4, "network": {"name": "mlp", "hidden": [16]}},
)
def vae(config: VAEConfig, shape: ImageShape) -> Autoencoder:
    """Build the network's encoder, the posterior's code layer and the network's decoder."""
    network = build_network(config.network, shape, config.classes)
    return on_network(config, shape, network, config.latent_dim, config.posterior, config.prior)
