r"""Bernoulli pixels, the usual likelihood of binary images (Kingma & Welling 2014, appendix C.1).

The decoder gives the logit of each pixel's probability. For grey images this is the cross-entropy of intensities that
count as probabilities, and no density.

.. math::
    \log p(x|z) = \sum_i \Big[x_i\log p_i + (1-x_i)\log(1-p_i)\Big], \qquad p = \mathrm{sigmoid}(\eta(z))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zoo.likelihoods import Likelihood, LikelihoodHead
from zoo.models.cross_entropy import binary_cross_entropy
from zoo.registry import register_likelihood
from zoo.schema.base import LikelihoodConfig


class BernoulliConfig(LikelihoodConfig):
    """Independent Bernoulli pixels; the decoder returns logits. Intensities in [0, 1] count as probabilities."""

    family: Literal["bernoulli"] = "bernoulli"

    @property
    def label(self) -> str:
        """No words: this is the usual likelihood."""
        return ""


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Independent Bernoulli pixels; -log_prob is the summed binary cross-entropy."""

    logits: Tensor  # (B, C, H, W)

    @property
    def mean(self) -> Tensor:
        """The probabilities, (B, C, H, W) in [0, 1]."""
        return torch.sigmoid(self.logits)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x|z), (B,) nats per image."""
        return -binary_cross_entropy(self.logits, x).flatten(1).sum(dim=1)


@register_likelihood(config=BernoulliConfig, paper="Kingma & Welling 2014, arXiv:1312.6114, appendix C.1")
class BernoulliHead(LikelihoodHead):
    """The outputs are logits."""

    def forward(self, output: Tensor) -> Bernoulli:
        """Return p(x|z) of logits (B, C, H, W)."""
        return Bernoulli(output)
