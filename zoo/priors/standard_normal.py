r"""The prior N(0, I) (Kingma & Welling 2014).

Nothing of it is trained: codes come to it, not it to the codes.

.. math::
    \log p(z) = -\frac12\sum_{d=1}^{D}\big(z_d^2 + \log 2\pi\big)
"""

from __future__ import annotations

from typing import Literal

from zoo.models import StandardNormal
from zoo.registry import register_prior
from zoo.schema.base import ImageShape, PriorConfig


class StandardNormalConfig(PriorConfig):
    """N(0, I)."""

    name: Literal["standard_normal"] = "standard_normal"


@register_prior(config=StandardNormalConfig, paper="Kingma & Welling 2014, arXiv:1312.6114")
def standard_normal(config: StandardNormalConfig, latent_dim: int, shape: ImageShape) -> StandardNormal:
    """Build N(0, I) over codes of ``latent_dim`` dimensions."""
    return StandardNormal(latent_dim)
