"""One file per likelihood p(x|z), named like it: the distribution and what the decoder has to put out for it."""

from zoo.models.likelihoods import Likelihood, LikelihoodHead

__all__ = ["Likelihood", "LikelihoodHead"]
