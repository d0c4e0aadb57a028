"""The choice of how a model's convolutions are computed: the memory layout, and library calls or one matrix product.

No choice changes the weights, their names or the function that the model computes. Where the recipe leaves the choice
open, it depends on whether the step is compiled, and a trainer changes it when it has chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import nn

from zoo.models.autoencoder import Autoencoder
from zoo.training.gemm_convolutions import Convolution, gemm_is_faster, use_gemm
from zoo.training.optimizer import Optimizer

Backend: TypeAlias = Literal["contiguous", "channels_last", "gemm"]
Layout: TypeAlias = Literal["contiguous", "channels_last"]
ConvBackend: TypeAlias = Literal["auto", "contiguous", "channels_last", "gemm"]


def with_conv_backend(model: Autoencoder, backend: ConvBackend) -> Autoencoder:
    """Return the model with its convolutions computed as the recipe says, for steps that are not compiled."""
    if backend == "gemm":
        use_gemm(model, which=gemm_is_faster)
    if chosen(model, backend, compiled=False) != "contiguous":
        for weight in filter(has_channels, model.parameters()):
            weight.data = weight.data.to(memory_format=torch.channels_last)
    return model


def chosen(model: nn.Module, backend: ConvBackend, *, compiled: bool) -> Backend:
    """Return the backend, or for ``auto`` the fastest one; docs/performance.md says how far that is measured.

    Args:
        model: the model.
        backend: the recipe's choice.
        compiled: whether the step is compiled for CUDA.
    """
    if backend != "auto":
        return backend
    convolutions = [module for module in model.modules() if isinstance(module, Convolution)]
    if not compiled or not convolutions:
        return "contiguous"
    if all(map(gemm_is_faster, convolutions)):
        return "gemm"
    return "contiguous" if any(map(leads_to_one_channel, convolutions)) else "channels_last"


def leads_to_one_channel(module: Convolution) -> bool:
    """Return whether a library's transposed convolution makes images of one channel.

    Such images have both layouts at once. cuDNN takes their gradient for contiguous and returns the next one so, where
    the compiler expects it to have its channels last: the step then cannot be compiled.
    """
    return isinstance(module, nn.ConvTranspose2d) and module.out_channels == 1


def lay_out(optimizer: Optimizer) -> Callable[[], None]:
    """Put the weights of convolutions, and what the optimizer keeps for each, into memory with their channels last.

    Returns:
        A function that puts the tensors back that were there before, which captured graphs know by their addresses.
        Their content is what it was.
    """
    weights = [weight for weight in optimizer.parameters if has_channels(weight)]
    before = [weight.data for weight in weights]
    states = {name: list(tensors) for name, tensors in optimizer.state.items()}
    for weight in weights:
        weight.data = weight.data.to(memory_format=torch.channels_last)
    for tensors in optimizer.state.values():
        for index, weight in enumerate(optimizer.parameters):
            if has_channels(weight) and tensors[index].shape == weight.shape:
                tensors[index] = tensors[index].to(memory_format=torch.channels_last)

    def undo() -> None:
        for weight, data in zip(weights, before, strict=True):
            weight.data = data
        for name, tensors in states.items():
            optimizer.state[name][:] = tensors

    return undo


def has_channels(weight: torch.Tensor) -> bool:
    """Return whether the memory layout of a weight matters: it is that of a convolution with several channels.

    Of two dimensions with equal strides, which one channel leads to, copies in another dtype choose the other order:
    such a weight would lose its layout in a compiled step in bfloat16, which then does not compile.
    """
    return weight.dim() == 4 and weight.shape[1] > 1
