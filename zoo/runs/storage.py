"""The numbers of a file of weights: float32, or float16 for the parameters where the recipe says so.

The model computes in float32 all the same. Only parameters are stored in half: a training ends by rounding them, and
what is measured and stated is measured with the rounded ones. Buffers stay as they are, since they are sums over many
images, such as BatchNorm's variances, a fitted covariance or a codebook's averages, and few.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


@torch.no_grad()
def round_parameters(model: nn.Module) -> None:
    """Round a model's float32 parameters to float16, but for tensors with values that float16 cannot hold."""
    for parameter in model.parameters():
        rounded = _halved(parameter)
        if rounded is not None:
            parameter.copy_(rounded)


def in_half(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a model that :func:`round_parameters` has rounded, its parameters as float16."""
    tensors = dict(model.state_dict())
    for name in parameters_of(model, tensors):
        halved = _halved(tensors[name])
        tensors[name] = tensors[name] if halved is None else halved
    return tensors


def from_half(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as the model has them: those of its parameters that are float16 as float32."""
    parameters = parameters_of(model, tensors)
    return {
        name: tensor.float() if name in parameters and tensor.dtype is torch.float16 else tensor
        for name, tensor in tensors.items()
    }


def parameters_of(model: nn.Module, tensors: Mapping[str, Tensor]) -> set[str]:
    """Return the names of those of the tensors that are parameters of a model."""
    return tensors.keys() & {name for name, _ in model.named_parameters(remove_duplicate=False)}


def _halved(tensor: Tensor) -> Tensor | None:
    """Return a float32 tensor as float16; None: it is of another type, or some value would become infinite."""
    if tensor.dtype is not torch.float32:
        return None
    halved = tensor.half()
    return halved if halved.isfinite().all() else None
