r"""The vector-quantised VAE (van den Oord et al. 2017) on any network with a map of features.

A code is a small image whose pixels are vectors of one codebook: each feature of the encoder is replaced by the nearest
of K vectors. The codebook follows the features by moving averages, and a vector that is hardly used is put where a
feature is. All codes are equally likely under the prior, so that the rate is fixed, h w log K nats.

.. math::
    e(x)_{ij} = e_k, \quad k = \mathrm{argmin}_n\,\|z(x)_{ij} - e_n\|^2, \qquad \mathrm{KL} = h\,w\log K

The default sizes are those of Jackson-Kang's tutorial, one mistake of which is corrected: a code is the vector of
channels at one position, not a stretch of one channel.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn

from zoo.models import Autoencoder
from zoo.models.codebook import Codebook
from zoo.networks import build_grid
from zoo.registry import NETWORKS, register_variant
from zoo.schema.base import ImageShape, NetworkConfig, Probability, Size, VariantConfig
from zoo.variants._assembled import decoder_of, encoder_of, outputs_of


class VQVAEConfig(VariantConfig):
    """VAE whose codes are vectors of a codebook, which follows by moving averages."""

    variant: Literal["vq_vae"] = "vq_vae"
    network: Annotated[NetworkConfig, NETWORKS] = Field(
        default_factory=lambda: NETWORKS.get("residual").config(),
        description="The layers between images and codes, which must have a map of features.",
    )
    codebook_size: Size = Field(512, description="Vectors in the codebook.")
    code_dim: Size = Field(16, description="Dimensions of each vector.")
    decay: Probability = Field(
        0.999, description="The decay per step of the moving averages that the codebook follows."
    )
    revival: Probability = Field(
        0.1,
        description="A vector that is used less often than this share of the average is replaced by one of the "
        "encoder's outputs; 0: never.",
    )

    @classmethod
    def from_older(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Read settings from before there were networks: their channels are those of a residual one."""
        others = {name: value for name, value in fields.items() if name != "channels"}
        if "channels" not in fields or "network" in fields:
            return fields
        return {"network": {"name": "residual", "channels": fields["channels"]}, **others}


@register_variant(
    config=VQVAEConfig,
    paper="van den Oord et al. 2017, arXiv:1711.00937; sizes from github.com/Jackson-Kang/Pytorch-VAE-tutorial",
    objective="vq",
    tiny={"network": {"name": "residual", "channels": 8}, "codebook_size": 16, "code_dim": 4},
)
def vq_vae(config: VQVAEConfig, shape: ImageShape) -> Autoencoder:
    """Build the network's encoder, a convolution k1 to code_dim channels, the codebook, the network's decoder."""
    network, dim = build_grid(config.network, shape, config.classes), config.code_dim
    n, h, w = network.features
    encoder = encoder_of([*network.encoder, nn.Conv2d(n, dim, 1)], shape, network, config)  # (B, D, h, w)
    decoder = decoder_of(network.decoder(dim, outputs_of(config, shape)), (dim, h, w), config)
    prior = Codebook(config.codebook_size, dim, (h, w), config.decay, config.revival)
    return Autoencoder(shape, encoder, decoder, prior, config.likelihood, config.classes, head=prior.quantize)
