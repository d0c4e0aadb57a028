"""The contract between a variant and everything else: encode, decode, reconstruct, sample.

A variant assembles an encoder that ends in a code layer, a decoder, a likelihood and a prior. Whatever belongs to the
weights (output activation, prior) happens in here; callers only ever see images in [0, 1].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.configs import BernoulliConfig, ImageShape
from zoo.distributions import Bernoulli, Gaussian, Likelihood, Posterior, StandardNormal, in_full

if TYPE_CHECKING:
    from zoo.artifacts import RunConfig


class Autoencoder(nn.Module):
    """An encoder, a decoder, p(x|z) and p(z).

    Args:
        image_shape: (C, H, W) of the images.
        encoder: images (B, C, H, W) → Posterior over codes (B, D); usually a Sequential that ends in a code layer.
        decoder: codes (B, D) → (B, C, H, W), the unbounded outputs that the likelihood turns into an image.
        prior: p(z).
        likelihood: the family of p(x|z), from the variant's config.
    """

    config: RunConfig | None = None
    """``config.json``, where the model was loaded: recipe, metrics and provenance."""

    def __init__(
        self, image_shape: ImageShape, encoder: nn.Module, decoder: nn.Module, prior: StandardNormal, likelihood: Any
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.encoder = encoder
        self.decoder = decoder
        self.prior: StandardNormal = prior
        self.likelihood = likelihood

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def parameter_count(self) -> int:
        """How many numbers training adjusts."""
        return sum(p.numel() for p in self.parameters())

    def encode(self, x: Tensor) -> Posterior:
        """Images (B, C, H, W) in [0, 1] → q(z|x)."""
        posterior: Posterior = self.encoder(x.to(self.device))
        return posterior

    def decode(self, z: Tensor) -> Likelihood:
        """Codes (B, D) → p(x|z)."""
        output = in_full(self.decoder(z.to(self.device)))  # (B, C, H, W)
        if isinstance(self.likelihood, BernoulliConfig):
            return Bernoulli(output)
        return Gaussian(torch.sigmoid(output), self.likelihood.variance)

    def forward(self, x: Tensor) -> Tensor:
        """As :meth:`reconstruct`, with gradients."""
        return self.decode(self.encode(x).mean).mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] → their reconstructions from the posterior's mean, in [0, 1]."""
        return self.forward(x)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n images (n, C, H, W) in [0, 1], decoded from the prior; a generator makes them repeatable."""
        return self.decode(self.prior.sample(n, generator)).mean

    def extra_repr(self) -> str:
        """The first line of ``print(model)``."""
        return (
            f"image_shape={self.image_shape}, latent_dim={self.prior.latent_dim}, parameters={self.parameter_count:,}"
        )
