r"""The masked autoencoder (He et al. 2021) on any network: the encoder sees some patches, and is told which.

The code of an image is made of a part of it, and the decoder has to draw the whole. What is hidden is 0, and a further
channel says where: 1 for what is seen. Unless something else is said, all is seen.

.. math::
    z = \mathrm{enc}\big([x\odot m,\ m]\big), \qquad \hat x = \mathrm{dec}(z), \qquad
    m_i = 1 \text{ where pixel } i \text{ is seen, else } 0
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.errors import ZooError
from zoo.models import Autoencoder, Posterior
from zoo.models.inputs import checked_images
from zoo.networks import build_network
from zoo.registry import NETWORKS, POSTERIORS, PRIORS, register_variant
from zoo.schema.base import ImageShape, NetworkConfig, PriorConfig, Size, VariantConfig
from zoo.variants._assembled import on_network


class MaskedAEConfig(VariantConfig):
    """Autoencoder that reconstructs the patches which it does not see."""

    variant: Literal["masked_ae"] = "masked_ae"
    latent_dim: Size = Field(32, description="Dimensions of the code.")
    network: Annotated[NetworkConfig, NETWORKS] = Field(
        default_factory=lambda: NETWORKS.get("mlp").config(hidden=(512,)),
        description="The layers between images and codes.",
    )
    prior: Annotated[PriorConfig, PRIORS] = Field(
        default_factory=lambda: PRIORS.get("fitted_gaussian").config(),
        description="p(z), the distribution that codes are drawn from.",
    )

    @property
    def stochastic(self) -> bool:
        """False: the code is a point."""
        return False


class MaskedAutoencoder(Autoencoder):
    """An autoencoder whose encoder takes one channel more than images have: what it sees of each pixel."""

    def encode_visible(self, x: Tensor, visible: Tensor) -> Posterior:
        """Return q(z|x) of images (B, C, H, W) of which the encoder sees what is 1 in ``visible`` (B, 1, H, W).

        Raises:
            ZooError: the images have another shape, dtype or range.
        """
        x = checked_images(x, self.image_shape, self._weights, training=self.training)
        visible = visible.to(x)
        posterior: Posterior = self.encoder(torch.cat([x * visible, visible], dim=1))
        return posterior

    def seen(self, x: Tensor) -> Tensor:
        """Return images (B, C, H, W) with the channel that says that all of them is seen."""
        return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)


@register_variant(
    config=MaskedAEConfig,
    paper="He et al. 2021, Masked Autoencoders Are Scalable Vision Learners, arXiv:2111.06377",
    objective="masked",
    tiny={"latent_dim": 4, "network": {"name": "mlp", "hidden": [16]}},
)
def masked_ae(config: MaskedAEConfig, shape: ImageShape) -> Autoencoder:
    """Build the network's encoder for one channel more, a point code and the network's decoder.

    Raises:
        ZooError: it is given labels.
    """
    if config.classes:
        raise ZooError("masked_ae takes no labels; set classes to 0")
    network = build_network(config.network, (shape[0] + 1, *shape[1:]))
    point = POSTERIORS.get("point").config()
    return on_network(config, shape, network, config.latent_dim, point, config.prior, kind=MaskedAutoencoder)
