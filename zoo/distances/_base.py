"""The contract of a distance: one value per image, from images and their decoded likelihoods."""

from __future__ import annotations

from torch import Tensor, nn

from zoo.models.likelihoods import Likelihood
from zoo.registry import DISTANCES
from zoo.schema.base import DistanceConfig, ImageShape


class Distance(nn.Module):
    """The part of an objective that compares images with what is decoded. Each distance is built from its config."""

    unit: str
    """The unit of the values."""

    trains_likelihood: bool = False
    """True if the values depend on all of p(x|z), and not on the location of its pixels alone."""

    def setup(self, shape: ImageShape) -> None:
        """Prepare for images of a shape (C, H, W), once; most distances have nothing to prepare.

        Raises:
            ZooError: the distance cannot compare such images.
        """

    def forward(self, x: Tensor, likelihood: Likelihood) -> Tensor:
        """Return the distance of images (B, C, H, W) in [0, 1] from their decoded likelihoods: (B,)."""
        raise NotImplementedError


def build_distance(config: DistanceConfig) -> Distance:
    """Build the distance that a config describes."""
    distance: Distance = DISTANCES.get(config.name).build(config)
    return distance
