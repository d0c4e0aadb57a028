r"""The VampPrior: a mixture of the posteriors of K pseudo-inputs, which are trained with the model.

The prior that fits the codes best is the mean of all images' posteriors; K trained images stand for them. So prior and
encoder cannot drift apart, and codes drawn from it are where codes are. The KL has no closed form, and is taken of the
z that is decoded.

.. math::
    p(z) = \frac1K\sum_{k=1}^{K} q(z|u_k), \qquad u_k = \mathrm{hardtanh}_{[0,1]}(v_k)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.models import DiagonalGaussian, Prior
from zoo.priors._mixture import draw, log_density
from zoo.registry import register_prior
from zoo.schema.base import ImageShape, PriorConfig, Size


class VampConfig(PriorConfig):
    """A mixture of the posteriors of K trained pseudo-inputs."""

    name: Literal["vamp"] = "vamp"
    components: Size = Field(500, description="The number K of pseudo-inputs.")


class VampPrior(Prior):
    """1/K sum_k q(z|u_k), u_k = hardtanh of trained images, between 0 and 1.

    Args:
        latent_dim: the dimensions D of a code.
        components: the number K of pseudo-inputs.
        shape: the shape of an image (C, H, W).
    """

    of_posteriors: ClassVar[bool] = True

    def __init__(self, latent_dim: int, components: int, shape: ImageShape) -> None:
        super().__init__(latent_dim)
        self.pseudo_inputs = nn.Parameter(0.5 + 0.05 * torch.randn(components, *shape))
        self._encoder: tuple[nn.Module, ...] = ()

    def attach(self, encoder: nn.Module) -> None:
        """Take note of the model's encoder; in a tuple, so that its weights count as the model's only."""
        self._encoder = (encoder,)

    def components(self) -> DiagonalGaussian:
        """Return the posteriors of the pseudo-inputs, as an encoder in eval mode has them.

        Raises:
            ZooError: the encoder, one of the user's own, does not end in a Gaussian posterior.
        """
        with in_eval_mode(self._encoder[0]):
            posterior = self._encoder[0](nn.functional.hardtanh(self.pseudo_inputs, 0.0, 1.0))
        if type(posterior) is not DiagonalGaussian:
            raise ZooError("a vamp prior is a mixture of Gaussian posteriors; choose the posterior gaussian")
        return posterior

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n codes (n, D), each from the posterior of one of the pseudo-inputs."""
        found = self.components()
        return draw(found.mu, found.logvar, torch.ones_like(found.mu[:, 0]), n, generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log 1/K sum_k q(z|u_k), (..., D) → (...) nats."""
        found = self.components()
        weights = found.mu.new_full((len(found.mu),), -math.log(len(found.mu)))
        return log_density(z, found.mu, found.logvar, weights)


@contextmanager
def in_eval_mode(module: nn.Module) -> Iterator[None]:
    """Put a module in eval mode while the context is active: dropout would make p(z) another one in every step, and
    BatchNorm's averages would become those of images and pseudo-inputs."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


@register_prior(config=VampConfig, paper="Tomczak & Welling 2018, arXiv:1705.07120, equations 9 and 10")
def vamp(config: VampConfig, latent_dim: int, shape: ImageShape) -> VampPrior:
    """Build the prior with pseudo-inputs of the shape of the images."""
    return VampPrior(latent_dim, config.components, shape)
