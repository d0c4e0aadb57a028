r"""A point of which only the k largest dimensions are kept, the others are 0 (Makhzani & Frey 2013).

How many dimensions an image uses is set and not asked for by a penalty. Those that are not kept get no gradient from
the image. The authors' decoder has the encoder's weights, transposed; here it is the network's.

.. math::
    z_d = h_d \ \text{ if } h_d \text{ is among the } k \text{ largest, else } 0, \qquad h = W f(x) + b
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.models import Deterministic
from zoo.models.numerics import at_least_float32
from zoo.registry import register_posterior
from zoo.schema.base import PosteriorConfig, Size


class TopKConfig(PosteriorConfig):
    """A point whose k largest dimensions are kept; the others are 0."""

    STOCHASTIC: ClassVar[bool] = False

    name: Literal["top_k"] = "top_k"
    k: Size = Field(25, description="The number of dimensions that are kept.")


class TopKHead(nn.Module):
    """A linear map from features (B, F) to a code (B, D) with k values that are not 0."""

    deterministic = True

    def __init__(self, features: int, latent_dim: int, k: int) -> None:
        super().__init__()
        self.code, self.k = nn.Linear(features, latent_dim), k

    def forward(self, h: Tensor) -> Deterministic:
        """Return q(z|x) of features h (B, F)."""
        code = at_least_float32(self.code(h))
        kept = code.topk(self.k, dim=1).indices
        return Deterministic(torch.zeros_like(code).scatter(1, kept, code.gather(1, kept)))


@register_posterior(config=TopKConfig, paper="Makhzani & Frey 2013, arXiv:1312.5663, algorithm 1")
def top_k(config: TopKConfig, features: int, latent_dim: int) -> TopKHead:
    """Build the code layer.

    Raises:
        ZooError: more dimensions would be kept than there are.
    """
    if config.k > latent_dim:
        raise ZooError(f"top_k cannot keep {config.k} of {latent_dim} dimensions; lower k or raise latent_dim")
    return TopKHead(features, latent_dim, config.k)
