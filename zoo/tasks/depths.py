"""What an encoder makes of images on the way to the code: the outputs of its layers, by their depth."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from zoo.errors import NotApplicable, ZooError
from zoo.models import Autoencoder
from zoo.models.autoencoder import check_model


def depths(model: Autoencoder) -> list[nn.Module]:
    """Return the modules whose outputs are the features of depth 1, 2, ..., the deepest last; the code is none of them.

    A depth is a layer with weights, such as a convolution or a residual block, and what follows it up to the next one:
    normalisation, activation, pooling.

    Raises:
        NotApplicable: the encoder is not made of layers one after another.
    """
    check_model(model)
    if not isinstance(model.encoder, nn.Sequential):
        raise NotApplicable("the encoder is not made of layers one after another, which depths are counted by")
    ends: list[nn.Module] = []
    for module in model.encoder:
        if any(parameter.dim() > 1 for parameter in module.parameters()):
            ends.append(module)
        elif ends and not isinstance(module, nn.Flatten):  # a map stays one
            ends[-1] = module
    return ends[:-1]  # the last one makes the code


def at_depth(model: Autoencoder, depth: int, encode: Callable[[], Any]) -> Tensor:
    """Return the features of a depth that are made in a call that encodes images.

    Args:
        model: the model, in eval mode.
        depth: 1 for the first layer with weights.
        encode: a function that encodes images (B, C, H, W) once.

    Returns:
        The features, (B, F); of a map (B, F, h, w), the means over its positions.

    Raises:
        ZooError: the encoder has no such depth.
    """
    ends = depths(model)
    if not 1 <= depth <= len(ends):
        names = ", ".join(f"{number} {type(module).__name__}" for number, module in enumerate(ends, 1))
        raise ZooError(f"there are no features of depth {depth}; the encoder has {names or 'none before the code'}")
    found: list[Tensor] = []
    thread = threading.get_ident()

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if threading.get_ident() == thread:  # others may use the same model
            found.append(output)

    handle = ends[depth - 1].register_forward_hook(keep)
    try:
        encode()
    finally:
        handle.remove()
    (features,) = found
    return features.flatten(2).mean(dim=2) if features.dim() > 2 else features
