"""Likelihoods p(x|z): what a decoder returns, a distribution over images for each of B codes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from zoo.models.cross_entropy import binary_cross_entropy
from zoo.models.numerics import LOG_2PI, at_least_float32
from zoo.schema.base import BernoulliConfig, GaussianConfig


class Likelihood(Protocol):
    """A distribution over images for each of B codes."""

    @property
    def mean(self) -> Tensor:
        """The mean image, (B, C, H, W) in [0, 1]."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x|z), (B,) nats per image: summed over channels and pixels."""


@dataclass(frozen=True)
class Bernoulli:
    """Independent Bernoulli pixels; -log_prob is the summed binary cross-entropy."""

    logits: Tensor  # (B, C, H, W)

    @property
    def mean(self) -> Tensor:
        """The probabilities, (B, C, H, W) in [0, 1]."""
        return torch.sigmoid(self.logits)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x|z), (B,) nats per image."""
        return -binary_cross_entropy(self.logits, x).flatten(1).sum(dim=1)


@dataclass(frozen=True)
class Gaussian:
    """Independent Gaussian pixels of one fixed variance."""

    mean: Tensor  # (B, C, H, W)
    variance: float

    def log_prob(self, x: Tensor) -> Tensor:
        """Sum -(x - mean)^2 / (2 variance) - 1/2 log(2 pi variance) over the pixels: (B,) nats per image."""
        squared = (x - self.mean).square() / self.variance
        return -0.5 * (squared + LOG_2PI + math.log(self.variance)).flatten(1).sum(dim=1)


def likelihood_of(config: BernoulliConfig | GaussianConfig, output: Tensor) -> Likelihood:
    """Turn a decoder's unbounded output (B, C, H, W) into the distribution that a model's config names."""
    output = at_least_float32(output)
    if isinstance(config, GaussianConfig):
        return Gaussian(torch.sigmoid(output), config.variance)
    return Bernoulli(output)
