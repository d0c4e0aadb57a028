"""The weights that a training starts from, fresh ones or those of a trained model, and what of them stays frozen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from zoo.entries.loading import find, load
from zoo.errors import ZooError
from zoo.models import Autoencoder
from zoo.models.build import build
from zoo.runs.folder import read_config
from zoo.schema.recipe import Recipe
from zoo.schema.sections import InitialWeights, Training
from zoo.training.parameter_names import check_patterns, matches

INITIALISERS: dict[InitialWeights, Callable[[Tensor], Any]] = {
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": partial(nn.init.kaiming_uniform_, nonlinearity="relu"),
    "kaiming_normal": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
    "truncated_normal": partial(nn.init.trunc_normal_, std=0.02),
}
"""torch's function for each choice."""


def resolved(training: Training) -> Training:
    """Return the section with the sha256 of the weights that it starts from written out.

    Raises:
        ZooError: they are not there, or not those that the recipe was trained from before.
    """
    if training.start is None:
        return training
    try:
        found = read_config(find(training.start).folder).weights_sha256
    except ZooError as error:
        raise ZooError(f"training.start: {error}") from error
    if training.start_sha256 not in (None, found):
        raise ZooError(
            f"training.start: the weights of {training.start} are not those that the recipe was trained from (sha256 "
            f"{found[:12]}…, not {training.start_sha256[:12]}…); drop training.start_sha256 to start from these"
        )
    return training.model_copy(update={"start_sha256": found})


def check_labelled(recipe: Recipe) -> None:
    """Refuse a conditional model of images that are known to have no labels, before they are decoded.

    Raises:
        ZooError: there are no labels, or the images cannot be listed.
    """
    if recipe.model.classes and not recipe.data.labelled:
        raise without_labels(recipe)


def without_labels(recipe: Recipe) -> ZooError:
    """Return the error that a conditional model gets images without labels."""
    return ZooError(
        f"the dataset {recipe.data.name!r} has no labels; {recipe.model.variant} needs one that has (of a folder of "
        "images, each class lies in a subfolder of its own)"
    )


def initial_model(recipe: Recipe) -> tuple[Autoencoder, str]:
    """Return the model that a training starts with, on the CPU, and what there is to say about its weights.

    Raises:
        ZooError: the model cannot be built, or none of the weights that it shall start from fits.
    """
    model, note = build(recipe), ""
    if recipe.training.initial_weights:
        initialise(model, recipe.training.initial_weights)
    if recipe.training.start:
        source = load(recipe.training.start)
        if source.config and recipe.training.start_sha256 not in (None, source.config.weights_sha256):
            raise ZooError(f"training.start: the weights of {recipe.training.start} have changed; train again")
        note = take_fitting(model, source.state_dict(), recipe.training.start)
    return model, note


@torch.no_grad()
def initialise(model: nn.Module, choice: InitialWeights) -> None:
    """Draw the weights of every linear layer and convolution anew from torch's default generator; biases become 0.

    A layer whose weights are all 0 stays as it is: it makes its module the identity at the start, as in a coupling.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | _ConvNd) and module.weight.any():
            stored = dict(module.named_parameters())  # under a spectral norm, `weight` is computed of another tensor
            INITIALISERS[choice](stored.get("parametrizations.weight.original", module.weight))
            if module.bias is not None:
                module.bias.zero_()
            if "parametrizations.weight.original" in stored:
                mode = module.training
                module.train()
                for _ in range(15):  # as torch begins: its estimate of the norm is of the weights before
                    _ = module.weight
                module.train(mode)


@torch.no_grad()
def take_fitting(model: nn.Module, weights: dict[str, Tensor], source: str) -> str:
    """Copy the tensors that have a name and shape of the model's, and say what was taken and what was not.

    Raises:
        ZooError: none has.
    """
    own = model.state_dict()
    fitting = {
        name: weights[name]
        for name, tensor in own.items()
        if name in weights and (weights[name].shape, weights[name].dtype) == (tensor.shape, tensor.dtype)
    }
    others = [
        f"{name} ({f'{list(weights[name].shape)} there, ' if name in weights else ''}{list(own[name].shape)} here)"
        for name in own
        if name not in fitting
    ]
    others += [f"{name} ({list(tensor.shape)} there only)" for name, tensor in weights.items() if name not in own]
    if not fitting:
        raise ZooError(f"training.start: no tensor of {source} fits this model: {', '.join(others)}")
    model.load_state_dict(fitting, strict=False)
    rest = f"; not taken: {', '.join(others)}" if others else ""
    return f"starting from {source}: {len(fitting)} of {len(own)} tensors{rest}"


def freeze(model: Autoencoder, patterns: tuple[str, ...]) -> list[nn.Module]:
    """Exempt parameters from training, by patterns of their names; return the modules that stay in eval mode.

    Those are the modules that a pattern names with all that is in them: what they keep of the images, such as
    BatchNorm's averages or a codebook, stays as it is, too.

    Raises:
        ZooError: a pattern names nothing.
    """
    named = [*model.named_parameters(), *model.named_buffers()]
    check_patterns(patterns, [name for name, _ in named], "training.freeze")
    for name, parameter in model.named_parameters():
        if matches(name, patterns):
            parameter.requires_grad_(False)
    return [module for name, module in model.named_modules() if name and matches(name, patterns)]
