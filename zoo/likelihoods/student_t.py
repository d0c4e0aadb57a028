r"""Student-t pixels, whose heavy tails forgive single errors (Takahashi et al. 2018).

The decoder gives location, scale and degrees of freedom of each pixel, so that it says itself how far errors may reach.
With many degrees of freedom it is a Gaussian; they are above 1 here, so that there is a mean.

.. math::
    \log p(x|z) = \sum_i \Big[\log\Gamma\Big(\frac{\nu_i+1}{2}\Big) - \log\Gamma\Big(\frac{\nu_i}{2}\Big)
    - \frac12\log(\pi\nu_i\sigma_i^2) - \frac{\nu_i+1}{2}\log\Big(1+\frac{(x_i-\mu_i)^2}{\nu_i\sigma_i^2}\Big)\Big]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.likelihoods import LikelihoodHead
from zoo.likelihoods._base import Located, LocatedConfig, soft_floor
from zoo.models.numerics import summed
from zoo.registry import register_likelihood


class StudentTConfig(LocatedConfig):
    """Independent Student-t pixels; the decoder returns location, log sigma and degrees of freedom of each."""

    family: Literal["student_t"] = "student_t"

    @property
    def outputs(self) -> int:
        """Location, log sigma, degrees of freedom."""
        return 3

    @property
    def label(self) -> str:
        """The words that distinguish values under this likelihood in tables."""
        return "Student-t"


@dataclass(frozen=True)
class StudentT(Located):
    """Independent Student-t pixels around mu, of precision lambda = exp(-2 log_sigma)."""

    log_sigma: Tensor  # (B, C, H, W)
    nu: Tensor  # (B, C, H, W), degrees of freedom

    def log_prob(self, x: Tensor) -> Tensor:
        """Sum the log-density over the pixels: (B,) nats per image."""
        squared = ((x - self.mu) * (-self.log_sigma).exp()).square()
        normaliser = torch.lgamma((self.nu + 1) / 2) - torch.lgamma(self.nu / 2) - 0.5 * (math.pi * self.nu).log()
        return summed(normaliser - self.log_sigma - (self.nu + 1) / 2 * torch.log1p(squared / self.nu))


@register_likelihood(config=StudentTConfig, paper="Takahashi et al. 2018, Student-t Variational Autoencoder, IJCAI")
class StudentTHead(LikelihoodHead):
    """The outputs are locations, log sigma and degrees of freedom; the last are above 1, so that there is a mean."""

    def forward(self, output: Tensor) -> StudentT:
        """Return p(x|z) of outputs (B, 3*C, H, W)."""
        location, log_sigma, nu = self.split(output)
        return StudentT(self.config.located(location), soft_floor(log_sigma), 1 + F.softplus(nu))
