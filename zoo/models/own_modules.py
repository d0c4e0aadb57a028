"""An encoder and a decoder of the user's own, handed in from Python in place of a network's layers.

A run folder names them for information only. Nothing is imported by a name that is found in a file, so whoever loads
such a model hands them in again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoo.errors import ZooError
from zoo.schema.recipe import Recipe

OWN = "own"
"""The name of the network whose layers are handed in."""

Module = nn.Module | Callable[[], nn.Module]
"""A module, of which each model gets a copy; or a class or a function that makes one, with fresh weights each time."""


@dataclass(frozen=True)
class OwnModules:
    """An encoder and a decoder, checked to be modules or to make them."""

    encoder: Module
    decoder: Module

    def __post_init__(self) -> None:
        for role, module in self.roles.items():
            if not callable(module):  # as every module is
                raise ZooError(
                    f"the {role} is of the type {type(module).__name__}; hand in a torch module, or a class or "
                    f"function that makes one"
                )

    @property
    def roles(self) -> dict[str, Module]:
        """The two by their names."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def imports(self) -> dict[str, str]:
        """Where the two come from, as ``module:class``."""
        return {role: import_of(module) for role, module in self.roles.items()}

    def make(self, role: str) -> nn.Module:
        """Return a new encoder or decoder on torch's default device.

        Raises:
            ZooError: it cannot be copied or made, or is no module.
        """
        given = self.roles[role]
        try:
            made = deepcopy(given) if isinstance(given, nn.Module) else given()
        except (RuntimeError, TypeError, ValueError) as error:
            raise ZooError(f"the {role} {import_of(given)} cannot be made: {error}") from error
        if not isinstance(made, nn.Module):
            raise ZooError(f"the {role} {import_of(given)} makes a {type(made).__name__}; it must make a torch module")
        return made.to(torch.get_default_device())


_HANDED_IN: ContextVar[OwnModules | None] = ContextVar("the modules that are handed in", default=None)


@contextmanager
def handing_in(encoder: Module | None, decoder: Module | None) -> Iterator[OwnModules | None]:
    """Build and load models with an encoder and a decoder of one's own, where their network is ``own``.

    >>> with zoo.models.handing_in(Encoder, Decoder):  # doctest: +SKIP
    ...     comparison = compare(["./runs/mine", "conv_vae_mnist"])

    Args:
        encoder: a module from images (B, C, H, W) to features, (B, F) or a map (B, F, h, w); or what makes one. With
            labels, an image has a channel more for each class.
        decoder: a module from codes (B, D), or (B, D, h, w) where they are a grid, to what the likelihood takes, (B,
            outputs*C, H, W); or what makes one. With labels, a code has a value more for each class.

    Raises:
        ZooError: only one of the two is there, or one is no module.
    """
    if encoder is None and decoder is None:
        yield _HANDED_IN.get()
        return
    if encoder is None or decoder is None:
        raise ZooError(f"the {'encoder' if encoder is None else 'decoder'} is missing: hand in both, or none")
    modules = OwnModules(encoder, decoder)
    token = _HANDED_IN.set(modules)
    try:
        yield modules
    finally:
        _HANDED_IN.reset(token)


def handed_in(named: str) -> OwnModules:
    """Return the modules that stand ready for a model.

    Args:
        named: where its own come from, for the message.

    Raises:
        ZooError: there are none.
    """
    modules = _HANDED_IN.get()
    if modules is None:
        raise ZooError(
            f"the encoder and the decoder of this model are its author's own ({named}), and nothing is imported by a "
            f'name in a file; hand them in from Python, as in zoo.load("./runs/mine", encoder=..., decoder=...)'
        )
    return modules


def with_imports(recipe: Recipe, modules: OwnModules, *, wanted: bool) -> Recipe:
    """Return a recipe that says where the modules of its model come from, if it takes any.

    Args:
        recipe: the recipe.
        modules: the encoder and the decoder.
        wanted: whether they were handed in for this recipe, which must take them then.

    Raises:
        ZooError: they are wanted, and the recipe's network has layers of its own.
    """
    network: Any = getattr(recipe.model, "network", None)
    if network is None or network.name != OWN:
        if not wanted:
            return recipe
        raise ZooError(
            f"encoder and decoder take the place of a network's layers, and the recipe chooses others; write "
            f'"network": {{"name": "{OWN}"}} into its model, a variant that takes any network, such as vae'
        )
    model = recipe.model.model_copy(update={"network": network.model_copy(update=modules.imports)})
    return recipe.model_copy(update={"model": model})


def import_of(module: Module) -> str:
    """Return where a module's class, or a function that makes modules, comes from: ``mine:Encoder``."""
    made = type(module) if isinstance(module, nn.Module) else getattr(module, "func", module)  # of a partial function
    name = getattr(made, "__qualname__", type(made).__qualname__)
    parts = (re.sub(r"[^\w.<>]", "_", part or "")[:140] for part in (getattr(made, "__module__", ""), name))
    return ":".join(parts)
