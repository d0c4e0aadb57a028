"""The contract of a model and the parts that variants are assembled from."""

from zoo.models.autoencoder import Autoencoder, Model
from zoo.models.build import build, build_variant, create_model
from zoo.models.layers import Conditioned, Residual
from zoo.models.likelihoods import Bernoulli, Gaussian, Likelihood
from zoo.models.posteriors import (
    Deterministic,
    DeterministicHead,
    DiagonalGaussian,
    GaussianHead,
    HasCodeUsage,
    Posterior,
)
from zoo.models.priors import FittedGaussian, Prior, StandardNormal

__all__ = [
    "Autoencoder", "Bernoulli", "Conditioned", "Deterministic", "DeterministicHead", "DiagonalGaussian",
    "FittedGaussian", "Gaussian", "GaussianHead", "HasCodeUsage", "Likelihood", "Model", "Posterior", "Prior",
    "Residual", "StandardNormal", "build", "build_variant", "create_model",
]  # fmt: skip
