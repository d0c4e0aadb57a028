"""One file per posterior q(z|x), named like it: the code layer, from features to a distribution of codes."""

from zoo.models.posteriors import Posterior

__all__ = ["Posterior"]
