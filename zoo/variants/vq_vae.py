"""The vector-quantised VAE (van den Oord et al. 2017) in the sizes of Jackson-Kang's tutorial.

Kept as published: two strided convolutions without an activation between them, two residual layers, a codebook that
follows by moving averages. Put right: a code is the vector of channels at a place, not a stretch of one channel.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from zoo.autoencoder import Autoencoder
from zoo.codebook import Codebook, Quantized
from zoo.layers import Residual, halved
from zoo.registry import register_variant
from zoo.schema.base import ImageShape, Probability, Size, VariantConfig


class VQVAEConfig(VariantConfig):
    """Sizes of the vector-quantised VAE."""

    channels: Size = Field(128, description="Of every hidden layer.")
    codebook_size: Size = Field(512, description="Vectors in the codebook.")
    code_dim: Size = Field(16, description="Dimensions of each of them.")
    decay: Probability = Field(0.999, description="Of the moving averages that the codebook follows, per step.")
    revival: Probability = Field(
        0.1,
        description="A vector that is used less than this share of the average is put where one of the encoder's "
        "outputs is; 0: never.",
    )


class VQVAE(Autoencoder):
    """An autoencoder whose codes are taken from the codebook that is its prior."""

    prior: Codebook

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Quantized:
        """The nearest vectors to the encoder's output."""
        return self.prior.quantize(self.encoder(x.to(self.device)))


@register_variant(
    "vq_vae",
    config=VQVAEConfig,
    summary="convolutional VAE whose codes are vectors of a codebook, which follows by moving averages",
    paper="van den Oord et al. 2017, arXiv:1711.00937; sizes from github.com/Jackson-Kang/Pytorch-VAE-tutorial",
)
def build(config: VQVAEConfig, shape: ImageShape) -> Autoencoder:
    """Conv k4 s2 twice, residual k3 and k1, to code_dim channels; back through ConvTranspose k2 s2 twice."""
    c, h, w = halved(shape, 2, "vq_vae")
    n, dim = config.channels, config.code_dim
    encoder = nn.Sequential(
        *(nn.Conv2d(c, n, 4, stride=2, padding=1), nn.Conv2d(n, n, 4, stride=2, padding=1)),  # (B, n, h, w)
        *(nn.ReLU(), Residual(nn.Conv2d(n, n, 3, padding=1)), nn.ReLU(), Residual(nn.Conv2d(n, n, 1))),
        nn.Conv2d(n, dim, 1),  # (B, D, h, w)
    )
    decoder = nn.Sequential(
        *(nn.Unflatten(1, (dim, h, w)), nn.Conv2d(dim, n, 1)),  # (B, n, h, w)
        *(Residual(nn.Conv2d(n, n, 1)), nn.ReLU(), Residual(nn.Conv2d(n, n, 3, padding=1)), nn.ReLU()),
        *(nn.ConvTranspose2d(n, n, 2, stride=2), nn.ConvTranspose2d(n, c, 2, stride=2)),  # (B, C, 4h, 4w)
    )
    prior = Codebook(config.codebook_size, dim, (h, w), config.decay, config.revival)
    return VQVAE(shape, encoder, decoder, prior, config.likelihood)
