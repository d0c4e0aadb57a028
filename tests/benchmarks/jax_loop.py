"""The same network and recipe in JAX with optax, as one writes it there: an epoch is one ``lax.scan`` under ``jit``.

The weights are the zoo's, by their names in torch, so the initial ones are equal; images, order and noise stay on the
device. JAX uses every core that the process may use, and its own default precision.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # others hold memory on the device too

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from jax import lax
from torch import nn

from tests.benchmarks.contestants import Absent, Contestant
from zoo.datasets import ImageSet
from zoo.likelihoods.bernoulli import BernoulliConfig
from zoo.models.autoencoder import Autoencoder
from zoo.models.build import build
from zoo.models.posteriors import GaussianHead
from zoo.schema.recipe import Recipe

Array = jax.Array
Params = dict[str, Array]
Layer = Callable[[Params, Any], Any]

NCHW = ("NCHW", "OIHW", "NCHW")


def linear(name: str, params: Params, h: Array) -> Array:
    """Features (B, F) → (B, O)."""
    return h @ params[f"{name}.weight"].T + params[f"{name}.bias"]


def convolution(name: str, layer: nn.Conv2d, params: Params, h: Array) -> Array:
    """Maps (B, C, H, W) → (B, O, H', W')."""
    padding = [(side, side) for side in layer.padding]
    h = lax.conv_general_dilated(h, params[f"{name}.weight"], layer.stride, padding, dimension_numbers=NCHW)
    return h + params[f"{name}.bias"][:, None, None]


def transposed(name: str, layer: nn.ConvTranspose2d, params: Params, h: Array) -> Array:
    """Maps (B, C, H, W) → (B, O, H', W'): the gradient of a convolution, written as one over dilated maps."""
    kernel = jnp.flip(params[f"{name}.weight"], (2, 3)).swapaxes(0, 1)
    sides = zip(layer.kernel_size, layer.padding, layer.output_padding, strict=True)
    padding = [(side - 1 - pad, side - 1 - pad + more) for side, pad, more in sides]
    h = lax.conv_general_dilated(h, kernel, (1, 1), padding, lhs_dilation=layer.stride, dimension_numbers=NCHW)
    return h + params[f"{name}.bias"][:, None, None]


def layers(part: nn.Sequential, name: str) -> Iterator[Layer]:
    """Yield a function for every layer of an encoder or a decoder.

    Raises:
        Absent: there is a layer that is not written here.
    """
    for number, layer in enumerate(part):
        at = f"{name}.{number}"
        if isinstance(layer, nn.Linear):
            yield partial(linear, at)
        elif isinstance(layer, nn.Conv2d):
            yield partial(convolution, at, layer)
        elif isinstance(layer, nn.ConvTranspose2d):
            yield partial(transposed, at, layer)
        elif isinstance(layer, nn.ReLU):
            yield lambda params, h: jax.nn.relu(h)
        elif isinstance(layer, nn.Flatten):
            yield lambda params, h: h.reshape(len(h), -1)
        elif isinstance(layer, nn.Unflatten):
            yield lambda params, h, shape=layer.unflattened_size: h.reshape(len(h), *shape)
        elif isinstance(layer, GaussianHead):
            yield lambda params, h, at=at: (linear(f"{at}.mu", params, h), linear(f"{at}.logvar", params, h))
        else:
            raise Absent(f"the layer {type(layer).__name__} is not written in JAX here")


def loss_of(model: Autoencoder) -> Callable[[Params, Array, Array], Array]:
    """Return the function −ELBO(weights, images (B, C, H, W), standard normal noise (B, D)): nats, a mean over images.

    Raises:
        Absent: as :func:`layers`.
    """
    encoder, decoder = list(layers(model.encoder, "encoder")), list(layers(model.decoder, "decoder"))

    def loss(params: Params, x: Array, epsilon: Array) -> Array:
        h: Any = x
        for layer in encoder:
            h = layer(params, h)
        mu, logvar = h
        logits = mu + jnp.exp(logvar / 2) * epsilon
        for layer in decoder:
            logits = layer(params, logits)
        reconstruction = (jax.nn.softplus(logits) - x * logits).sum((1, 2, 3))
        kl = (jnp.exp(logvar) + mu**2 - 1 - logvar).sum(1) / 2
        return (reconstruction + kl).mean()

    return loss


class JaxLoop(Contestant):
    """A VAE's training, compiled as a whole epoch.

    Args:
        recipe: what to train.
        train: its images.
        device: where.

    Raises:
        Absent: the recipe is no VAE of plain layers, or JAX has no such device.
    """

    how = "lax.scan over an epoch, under jit"

    def __init__(self, recipe: Recipe, train: ImageSet, device: torch.device) -> None:
        if recipe.objective.name != "elbo" or not isinstance(recipe.model.likelihood, BernoulliConfig):
            raise Absent("JAX's loop is written for a VAE with a Bernoulli likelihood")
        torch.manual_seed(recipe.training.seed)
        self.model = build(recipe)
        self.there = device_of(device)
        weights = {name: value.detach().numpy().copy() for name, value in self.model.named_parameters()}
        optimizer = optax.adam(recipe.optimizer.learning_rate)
        params = jax.device_put(weights, self.there)
        self.state = (params, optimizer.init(params), jax.random.key(recipe.training.seed))
        self.state = jax.device_put(self.state, self.there)
        self.images = jax.device_put(train.images.numpy(), self.there)
        self.epoch = jax.jit(
            epoch_of(loss_of(self.model), optimizer, recipe.training.batch_size, self.model.prior.latent_dim),
            donate_argnums=0,
        )
        self.device = device

    @property
    def models(self) -> Sequence[Autoencoder]:  # type: ignore[override]
        """The torch model with the weights of now."""
        self.model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in self.state[0].items()})
        return [self.model.to(self.device)]

    def train_epoch(self) -> None:
        """Every training image once, and wait: the race waits for torch only."""
        self.state = jax.block_until_ready(self.epoch(self.state, self.images))


def epoch_of(loss: Callable[..., Array], optimizer: Any, size: int, latent_dim: int) -> Callable[[Any, Array], Any]:
    """Return the function that trains an epoch on images (N, C, H, W): a scan over full batches, and the rest."""

    def step(images: Array, state: Any, index: Array) -> tuple[Any, None]:
        params, moments, key = state
        key, now = jax.random.split(key)
        x = images[index].astype(jnp.float32) / 255
        gradients = jax.grad(loss)(params, x, jax.random.normal(now, (len(index), latent_dim)))
        updates, moments = optimizer.update(gradients, moments)
        return (optax.apply_updates(params, updates), moments, key), None

    def epoch(state: Any, images: Array) -> Any:
        params, moments, key = state
        key, now = jax.random.split(key)
        order = jax.random.permutation(now, len(images))
        whole = len(images) // size * size
        state, _ = lax.scan(partial(step, images), (params, moments, key), order[:whole].reshape(-1, size))
        return step(images, state, order[whole:])[0] if whole < len(images) else state

    return epoch


def device_of(device: torch.device) -> Any:
    """Return JAX's name of a torch device.

    Raises:
        Absent: JAX is installed without it.
    """
    try:
        return jax.devices({"cuda": "gpu"}.get(device.type, device.type))[device.index or 0]
    except (RuntimeError, IndexError) as error:
        raise Absent(f"JAX has no {device.type} here (for CUDA: pip install 'jax[cuda13]')") from error
