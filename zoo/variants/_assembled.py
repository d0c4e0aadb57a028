"""What the variants share: an encoder, a code and a decoder put together on a network."""

from __future__ import annotations

from torch import nn

from zoo.errors import ZooError
from zoo.models import Autoencoder, Conditioned, ConditionedMaps, GaussianHead, Prior, StandardNormal
from zoo.networks import Network
from zoo.posteriors.gaussian import GaussianConfig
from zoo.registry import POSTERIORS, PRIORS
from zoo.schema.base import ImageShape, PosteriorConfig, PriorConfig, VariantConfig


def on_network(
    config: VariantConfig,
    shape: ImageShape,
    network: Network,
    latent_dim: int,
    posterior: PosteriorConfig | None = None,
    prior: PriorConfig | None = None,
    kind: type[Autoencoder] = Autoencoder,
) -> Autoencoder:
    """Build an autoencoder with a code of ``latent_dim`` dimensions on a network whose features are flat.

    Args:
        config: the settings of likelihood and labels.
        shape: the shape of images (C, H, W).
        network: the layers between images and code, built for the number of labels.
        latent_dim: the dimensions D of the code.
        posterior: the settings of q(z|x); None: Gaussian.
        prior: the settings of p(z); None: N(0, I).
        kind: the class of the model.
    """
    (features,) = network.features
    posterior = posterior or GaussianConfig()
    head = POSTERIORS.get(posterior.name).build(posterior, features, latent_dim)
    encoder = encoder_of([*network.encoder, head], shape, network, config)
    decoder = decoder_of(network.decoder(latent_dim, outputs_of(config, shape)), (latent_dim,), config)
    chosen = PRIORS.get(prior.name).build(prior, latent_dim, shape) if prior else StandardNormal(latent_dim)
    refuse_senseless(head, chosen, config)
    model = kind(shape, encoder, decoder, chosen, config.likelihood, config.classes)
    if network.initialise:
        model.apply(network.initialise)
    return model


def encoder_of(layers: list[nn.Module], shape: ImageShape, network: Network, config: VariantConfig) -> nn.Module:
    """Return the layers from images, and from one-hot labels if the model is given any, as one module."""
    if not config.classes:
        return nn.Sequential(*layers)
    return Conditioned(*layers) if network.flat_input else ConditionedMaps(shape, *layers)


def decoder_of(layers: list[nn.Module], code: tuple[int, ...], config: VariantConfig) -> nn.Module:
    """Return the layers from flat codes, which are of shape ``code``, and from one-hot labels as one module."""
    if len(code) == 1:
        return Conditioned(*layers) if config.classes else nn.Sequential(*layers)
    return ConditionedMaps(code, *layers) if config.classes else nn.Sequential(nn.Unflatten(1, code), *layers)


def outputs_of(config: VariantConfig, shape: ImageShape) -> ImageShape:
    """Return the shape of what a decoder puts out: the likelihood's outputs for each channel of an image."""
    return shape[0] * config.likelihood.outputs, *shape[1:]


def refuse_senseless(head: nn.Module, prior: Prior, config: VariantConfig) -> None:
    """Refuse a prior that is fitted after training where training needs it, and one of posteriors that do not exist."""
    if prior.fitted and not getattr(head, "deterministic", False):
        raise ZooError(
            "a prior that is fitted after training suits codes without noise only; give this variant another prior, "
            "such as standard_normal"
        )
    if prior.of_posteriors and config.classes:
        raise ZooError("a vamp prior is made of pseudo-inputs, which have no labels; set classes to 0")
    if prior.of_posteriors and not isinstance(head, GaussianHead):
        raise ZooError("a vamp prior is a mixture of Gaussian posteriors; choose the posterior gaussian")
