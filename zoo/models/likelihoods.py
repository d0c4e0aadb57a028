"""The contract of a likelihood p(x|z): a distribution over images for each of B codes, made of a decoder's outputs."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from zoo.registry import LIKELIHOODS
from zoo.schema.base import LikelihoodConfig


class Likelihood:
    """A distribution over images for each of B codes."""

    @property
    def mean(self) -> Tensor:
        """The image to look at, (B, C, H, W) in [0, 1]: the mean of each pixel."""
        raise NotImplementedError

    @property
    def location(self) -> Tensor:
        """The image that distances are measured from, (B, C, H, W): the mean, before it is clipped to [0, 1]."""
        return self.mean

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x|z), (B,) nats per image: summed over channels and pixels."""
        raise NotImplementedError

    def note(self, x: Tensor) -> None:
        """Take note of images of a training whose loss is not of log p(x|z); most likelihoods keep nothing of them."""


class LikelihoodHead(nn.Module):
    """The end of a decoder: it turns outputs without bounds into p(x|z), and may have parameters of its own.

    Args:
        config: the settings of the family.
    """

    config: Any

    of_batch: bool = False
    """True if p(x|z) of an image depends in training on the others of its batch."""

    def __init__(self, config: LikelihoodConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, output: Tensor) -> Likelihood:
        """Return p(x|z) of outputs (B, outputs*C, H, W), in float32 at least."""
        raise NotImplementedError

    def split(self, output: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs (B, outputs*C, H, W) one by one, each (B, C, H, W)."""
        return output.chunk(self.config.outputs, dim=1)


def build_likelihood(config: LikelihoodConfig) -> LikelihoodHead:
    """Build the likelihood that a model's config names."""
    head: LikelihoodHead = LIKELIHOODS.get(config.family).build(config)
    return head
