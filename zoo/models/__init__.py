"""The contract of a model and the parts that variants are assembled from."""

from zoo.models.autoencoder import Autoencoder, Model
from zoo.models.build import build, build_variant, create_model
from zoo.models.layers import Conditioned, ConditionedMaps, Residual
from zoo.models.likelihoods import Likelihood, LikelihoodHead
from zoo.models.noise import NoiseSource
from zoo.models.own_modules import handing_in
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
    "Autoencoder", "Conditioned", "ConditionedMaps", "Deterministic", "DeterministicHead", "DiagonalGaussian",
    "FittedGaussian", "GaussianHead", "HasCodeUsage", "Likelihood", "LikelihoodHead", "Model", "NoiseSource",
    "Posterior", "Prior", "Residual", "StandardNormal", "build", "build_variant", "create_model", "handing_in",
]  # fmt: skip
