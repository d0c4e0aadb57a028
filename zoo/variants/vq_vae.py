"""The vector-quantised VAE (van den Oord et al. 2017) in the sizes of Jackson-Kang's tutorial.

One mistake of it is corrected: a code is the vector of channels at one position, not a stretch of one channel.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from zoo.models import Autoencoder
from zoo.models.codebook import Codebook
from zoo.networks.residual import ResidualSizes, residual
from zoo.registry import register_variant
from zoo.schema.base import ImageShape, Probability, Size, VariantConfig


class VQVAEConfig(ResidualSizes, VariantConfig):
    """Convolutional VAE whose codes are vectors of a codebook, which follows by moving averages."""

    variant: Literal["vq_vae"] = "vq_vae"
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


@register_variant(
    config=VQVAEConfig,
    paper="van den Oord et al. 2017, arXiv:1711.00937; sizes from github.com/Jackson-Kang/Pytorch-VAE-tutorial",
    objective="vq",
    tiny={"channels": 8, "codebook_size": 16, "code_dim": 4},
)
def vq_vae(config: VQVAEConfig, shape: ImageShape) -> Autoencoder:
    """Build Conv k4 s2 twice, residual k3 and k1, to code_dim channels; back through ConvTranspose k2 s2 twice."""
    network, dim = residual(config, shape), config.code_dim
    n, h, w = network.features
    encoder = nn.Sequential(*network.encoder, nn.Conv2d(n, dim, 1))  # (B, D, h, w)
    decoder = nn.Sequential(*network.decoder(dim))
    prior = Codebook(config.codebook_size, dim, (h, w), config.decay, config.revival)
    return Autoencoder(shape, encoder, decoder, prior, config.likelihood, head=prior.quantize)
