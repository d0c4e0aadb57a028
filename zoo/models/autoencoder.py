"""The contract between a variant and everything else: encode, decode, reconstruct, sample.

A variant assembles an encoder that ends in a code layer, a decoder, a likelihood and a prior. Whatever belongs to the
weights (output activation, prior) happens in here; callers only ever see images in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.errors import ZooError
from zoo.models.inputs import checked_codes, checked_count, checked_images, checked_labels, described
from zoo.models.likelihoods import Likelihood, build_likelihood
from zoo.models.numerics import at_least_float32
from zoo.models.parts import decoded_in_parts
from zoo.models.posteriors import Posterior
from zoo.models.priors import Prior
from zoo.schema.base import ImageShape, LikelihoodConfig, format_shape
from zoo.schema.run_config import RunConfig
from zoo.system.lock import PROCESS_LOCK
from zoo.system.randomness import draws_by_default

SAMPLES_AT_ONCE = 10_000
"""The most codes that are decoded at once, so that memory grows with the samples only."""


class Model(Protocol):
    """The view that objectives and metrics have of an autoencoder; a conditional one has its labels given.

    Codes (K*B, D) are K for each of the B images, the first of every image before the second of any.
    """

    @property
    def training(self) -> bool:
        """True in training mode, False in eval mode."""

    @property
    def prior(self) -> Prior:
        """The prior p(z)."""

    def encode(self, x: Tensor) -> Posterior:
        """Return q(z|x) of images (B, C, H, W) in [0, 1]."""

    def decode(self, z: Tensor) -> Likelihood:
        """Return p(x|z) of codes (B, D)."""

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the reconstructions of images (B, C, H, W) from the posterior's mean, all in [0, 1]."""


class Autoencoder(nn.Module):
    """An encoder, a decoder, a likelihood p(x|z) and a prior p(z).

    Args:
        image_shape: the shape (C, H, W) of the images.
        encoder: maps images (B, C, H, W) to a Posterior over codes (B, D), usually as a Sequential that ends in a head,
            such as ``GaussianHead``; or, with ``head``, to features.
        decoder: maps codes (B, D) to the outputs without bounds, (B, outputs*C, H, W), that the likelihood turns into
            images.
        prior: the distribution p(z) of codes.
        likelihood: the settings of p(x|z), from the variant's config.
        classes: the number of labels y of a conditional model, q(z|x,y) and p(x|z,y), whose encoder and decoder take
            one-hot labels (B, classes) as a second input; 0 for any other model.
        head: a function from features to a Posterior, where the encoder does not end in a head: the look-up in a
            codebook, which is a part of the prior.
    """

    config: RunConfig | None = None
    """The content of ``config.json`` where the model was loaded: recipe, metrics and provenance."""

    origin: str | None = None
    """The source that the model was loaded from, such as ``shipped with the zoo`` or ``./runs/mine``."""

    def __init__(
        self,
        image_shape: ImageShape,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: Prior,
        likelihood: LikelihoodConfig,
        classes: int = 0,
        head: Callable[[Tensor], Posterior] | None = None,
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.encoder = encoder
        self.decoder = decoder
        self.prior: Prior = prior
        self.likelihood = build_likelihood(likelihood)
        self._output_shape = (likelihood.outputs * image_shape[0], *image_shape[1:])
        self.classes = classes
        self.head = head
        prior.attach(encoder)

    @property
    def device(self) -> torch.device:
        """The device that the weights are on."""
        return self._weights.device

    @property
    def _weights(self) -> Tensor:
        """The first of the weights: all have its device and dtype."""
        return next(self.parameters())

    @property
    def parameter_count(self) -> int:
        """The number of values that training adjusts."""
        return sum(p.numel() for p in self.parameters())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Autoencoder:
        """Move or cast the weights; a model with BatchNorm stays in float32 where float16 is asked for.

        What comes before BatchNorm may be of any size, and does not fit into float16.
        """

        def fitting(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return tensor.to(moved.device, torch.float32) if moved.dtype is torch.float16 else moved

        normalised = any(isinstance(module, _BatchNorm) for module in self.modules())
        applied: Autoencoder = super()._apply(fitting if normalised else fn, recurse)
        return applied

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """Return q(z|x) of images (B, C, H, W) in [0, 1]; a conditional model takes their labels (B,) as well.

        Raises:
            ZooError: the images have another shape, dtype or range, or the labels are no classes.
        """
        x = checked_images(x, self.image_shape, self._weights, training=self.training)
        posterior: Posterior = self.encoder(self.seen(x), *self._condition(labels, x.shape[0]))
        if self.head is None:  # torch 2.11 cannot compile the question whether a method is true
            return posterior
        return self.head(posterior)  # type: ignore[arg-type]  # then they are features

    def seen(self, x: Tensor) -> Tensor:
        """Return what the encoder takes for images (B, C, H, W): themselves, unless a variant adds to them."""
        return x

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Likelihood:
        """Return p(x|z) of codes (B, D); a conditional model takes labels (B,) as well.

        Raises:
            ZooError: the codes have another shape or dtype, or the labels are no classes; or the decoder's output has
                not the shape that the likelihood takes.
        """
        z = checked_codes(z, self.prior.latent_dim, self._weights)
        condition = self._condition(labels, z.shape[0])
        output = decoded_in_parts(self.decoder, z, *condition, image_shape=self.image_shape)
        if tuple(output.shape[1:]) != self._output_shape:
            raise ZooError(self._misfit(tuple(output.shape[1:])))
        likelihood: Likelihood = self.likelihood(at_least_float32(output))
        return likelihood

    def _misfit(self, found: tuple[int, ...]) -> str:
        config, wanted = self.likelihood.config, format_shape(self._output_shape)
        return (
            f"the decoder puts out {format_shape(found)} for a code; the likelihood {config.family} wants {wanted}: "
            f"{config.outputs} (config.likelihood.outputs) for each channel of an image"
        )

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Reconstruct images as :meth:`reconstruct` does, with gradients."""
        return self.decode(self.encode(x, labels).mean, labels).mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the reconstructions of images (B, C, H, W) from the posterior's mean, all in [0, 1].

        Raises:
            ZooError: the images have another shape, dtype or range; or the model is conditional and ``labels`` (B,)
                are missing or no classes.
        """
        labels = checked_labels(labels, self.classes) if self.classes else None
        return self.forward(x, labels)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None, labels: Tensor | None = None) -> Tensor:
        """Decode n codes of the prior to images (n, C, H, W) in [0, 1]; a generator makes them repeatable.

        A conditional model draws them for ``labels`` (n,), or one for all, by default each class in turn.

        Raises:
            ZooError: n is no number of images that fit into memory, or the labels are no classes.
        """
        n = checked_count(n, self.image_shape)
        if not isinstance(generator, torch.Generator | None):
            raise ZooError(f"generator must be a torch.Generator or None; got {type(generator).__name__}")
        if self.classes:
            each = torch.arange(n, device="cpu") % self.classes if labels is None else labels
            labels = checked_labels(each, self.classes, n)
        with PROCESS_LOCK if draws_by_default(self) else nullcontext():
            z = self.prior.sample(n, generator)
            size = n if self.training else SAMPLES_AT_ONCE
            if n <= size:
                return self.decode(z, labels).mean
            parts = zip(z.split(size), [None] * n if labels is None else labels.split(size), strict=False)
            return torch.cat([self.decode(part, y).mean for part, y in parts])

    def given(self, labels: Tensor | None) -> Model:
        """Return this model with its labels (B,) set; any other model returns itself."""
        return Given(self, labels) if self.classes else self

    def check_labels(self, labels: Tensor | None) -> None:
        """Refuse labels that a conditional model cannot take; the check waits for the device.

        Raises:
            ZooError: they are missing, or not among the model's classes.
        """
        if self.classes:
            checked_labels(labels, self.classes)

    def _condition(self, labels: Tensor | None, count: int) -> tuple[Tensor, ...]:
        """Return what encoder and decoder take as their second input: one-hot labels (B, classes), or nothing."""
        if not self.classes:
            return ()
        labels = checked_labels(labels, self.classes, count, training=self.training).to(self.device)
        one_hot = labels[:, None] == torch.arange(self.classes, device=self.device)
        return (one_hot.to(self._weights.dtype),)

    def __repr__(self) -> str:
        """Describe the model in a few lines; ``model.encoder`` and ``model.decoder`` show their layers."""
        name, variant, figures = type(self).__name__, "", ""
        if self.config:
            test = self.config.metrics["test"]
            formats = {"negative_elbo": "\N{MINUS SIGN}ELBO {:.2f} nats per image", "mse": "MSE {:.5f} per pixel"}
            values = [text.format(test[metric]) for metric, text in formats.items() if metric in test]
            figures = f"\n  {', '.join(values)}, on {self.config.dataset['test'].images:,} test images"
            name, variant = self.config.name, f"{self.config.recipe['model']['variant']}, "
        shape = format_shape(self.image_shape)
        given = f", given one of {self.classes} classes" if self.classes else ""
        family = self.likelihood.config.family.capitalize()
        return (
            f"{name}: {variant}{self.parameter_count:,} parameters"
            f"\n  images {shape}, codes of {self.prior.latent_dim} dimensions, {family} likelihood{given}{figures}"
        )


def check_model(model: Any) -> None:
    """Refuse what is no model, such as the name of one.

    Raises:
        ZooError: it is none.
    """
    if not isinstance(model, Autoencoder):
        raise ZooError(f"give a model, as zoo.load('conv_vae_mnist') returns it; got {described(model)}")


class Given:
    """A conditional model whose labels are set: it encodes and decodes like one that is not conditional."""

    def __init__(self, model: Autoencoder, labels: Tensor | None) -> None:
        self.model = model
        fitting = labels is None or (isinstance(labels, Tensor) and labels.dtype is torch.int64 and labels.dim() == 1)
        self.labels = labels if fitting else checked_labels(labels, model.classes)

    @property
    def training(self) -> bool:
        """True in training mode, False in eval mode."""
        return self.model.training

    @property
    def prior(self) -> Prior:
        """The prior p(z), which does not depend on the labels."""
        return self.model.prior

    def encode(self, x: Tensor) -> Posterior:
        """Return q(z|x,y) of images (B, C, H, W) in [0, 1]."""
        return self.model.encode(x, self.labels)

    def decode(self, z: Tensor) -> Likelihood:
        """Return p(x|z,y) of codes (K*B, D), K for each of the B images."""
        labels = self.labels
        if labels is not None and len(labels):
            labels = labels.repeat(len(z) // len(labels))  # several codes for each image
        return self.model.decode(z, labels)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Reconstruct images (B, C, H, W) from the mean of q(z|x,y), all in [0, 1]."""
        return self.model.reconstruct(x, self.labels)
