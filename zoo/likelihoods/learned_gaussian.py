r"""Gaussian pixels whose variance is learned: one for all, one for each, or the best one (Rybkin et al. 2021).

The variance is the weight of the squared error against the KL, and a fixed one is a guess. The best one has a closed
form: in training it is the mean squared error of the batch, through which the gradient goes; elsewhere it is a moving
average of that. A soft floor keeps log sigma above -6, since images of 8 bits would let it fall without end.

.. math::
    \log p(x|z) = -\sum_i \Big[\frac{(x_i-\mu_i)^2}{2\sigma^2} + \log\sigma + \frac12\log 2\pi\Big], \qquad
    \log\sigma = -6 + \mathrm{softplus}(\log\sigma' + 6)

.. math::
    \sigma'^2 = \frac{1}{BP}\sum_{b=1}^{B}\sum_{i=1}^{P}(x_{bi}-\mu_{bi})^2 \quad\text{(optimal, } P \text{ pixels)}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.likelihoods import LikelihoodHead
from zoo.likelihoods._base import Located, LocatedConfig, soft_floor
from zoo.models.numerics import LOG_2PI, summed
from zoo.registry import register_likelihood
from zoo.schema.base import LikelihoodConfig
from zoo.system.collectives import all_reduce, several

MOMENTUM = 0.01
"""The weight of a batch in the moving average of the best variance."""


class LearnedGaussianConfig(LocatedConfig):
    """Independent Gaussian pixels whose variance is learned."""

    family: Literal["learned_gaussian"] = "learned_gaussian"
    variance: Literal["optimal", "shared", "per_pixel"] = Field(
        "optimal",
        description="`optimal`: the mean squared error of the batch in training, its moving average elsewhere; "
        "`shared`: one parameter; `per_pixel`: an output of the decoder for each pixel.",
    )

    @property
    def outputs(self) -> int:
        """The location, and log sigma where each pixel has its own."""
        return 2 if self.variance == "per_pixel" else 1

    @property
    def label(self) -> str:
        """The words that distinguish values under this likelihood in tables."""
        return f"gaussian, {self.variance.replace('_', ' ')} variance"


@dataclass(frozen=True)
class LearnedGaussian(Located):
    """Independent Gaussian pixels around mu, of standard deviation sigma."""

    log_sigma: Tensor  # a scalar or (B, C, H, W)

    def log_prob(self, x: Tensor) -> Tensor:
        """Sum -(x - mu)^2 / (2 sigma^2) - log sigma - 1/2 log(2 pi) over the pixels: (B,) nats per image."""
        squared = ((x - self.mu) * (-self.log_sigma).exp()).square()
        return -summed(0.5 * squared + self.log_sigma + 0.5 * LOG_2PI)


@dataclass(frozen=True)
class OptimalGaussian(Located):
    """Gaussian pixels of the variance that suits a batch best: their mean squared error (equation 6)."""

    head: LearnedGaussianHead

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density of the batch that the variance is measured of, (B,) nats per image."""
        log_sigma = soft_floor(0.5 * self.head.noted((x - self.mu).square().mean()).log())
        return LearnedGaussian(self.mu, log_sigma).log_prob(x)

    @torch.no_grad()
    def note(self, x: Tensor) -> None:
        """Note the mean squared error of a batch in training, as :meth:`log_prob` does."""
        self.head.noted((x - self.mu).square().mean())


@register_likelihood(
    config=LearnedGaussianConfig,
    paper="Rybkin, Daniilidis & Levine 2021, Simple and Effective VAE Training, arXiv:2006.13202, equations 4 to 6",
)
class LearnedGaussianHead(LikelihoodHead):
    """The outputs are the locations, or their logits, and log sigma where each pixel has its own."""

    mse: Tensor
    batches: Tensor

    def __init__(self, config: LikelihoodConfig) -> None:
        super().__init__(config)
        if self.config.variance == "shared":
            self.log_sigma = nn.Parameter(torch.zeros(()))
        elif self.config.variance == "optimal":
            self.register_buffer("mse", torch.ones(()))
            self.register_buffer("batches", torch.zeros(()))
        self.of_batch = self.config.variance == "optimal"

    def forward(self, output: Tensor) -> LearnedGaussian | OptimalGaussian:
        """Return p(x|z) of outputs (B, outputs*C, H, W)."""
        location, *log_sigma = self.split(output)
        mu = self.config.located(location)
        if self.config.variance == "optimal":
            return OptimalGaussian(mu, self)
        return LearnedGaussian(mu, soft_floor(log_sigma[0] if log_sigma else self.log_sigma))

    def noted(self, mse: Tensor) -> Tensor:
        """Return the variance to use: in training that of the batch, which is noted, else the moving average."""
        if not self.training:
            return self.mse
        with torch.no_grad():
            found = torch.stack([mse, torch.ones_like(mse)])
            if several():  # the processes share a batch: all note the same
                all_reduce(found)
            self.batches += 1
            weight = (1 / self.batches).clamp(min=MOMENTUM)
            self.mse.copy_(torch.lerp(self.mse, found[0] / found[1], weight))  # vmap runs lerp_ model by model
        return mse
