"""Code that Adam and AdamW share."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.optim.adam import adam as torch_adam

from zoo.schema.base import OptimizerConfig, Positive, Probability

STATE = ("step", "exp_avg", "exp_avg_sq")

MANY_WEIGHTS = 2**20
"""The fewest weights of a tensor that :func:`written_out` takes for many."""


class AdamFamilyConfig(OptimizerConfig):
    """The settings of both Adam and AdamW."""

    betas: tuple[Probability, Probability] = Field(
        (0.9, 0.999), description="The decay of the moving averages of gradients and of squared gradients."
    )
    eps: Positive = Field(1e-8, description="The number added to the divisor, so that it is never 0.")


def update(
    config: AdamFamilyConfig,
    parameters: list[Tensor],
    gradients: list[Tensor],
    state: dict[str, list[Tensor]],
    rate: Tensor,
    traced: bool,
    *,
    decoupled: bool,
) -> None:
    """Take one step; with ``decoupled``, weight decay does not go through the moments."""
    lists = [parameters, gradients, *(state[name] for name in STATE)]
    apart = [traced and written_out(*pair) for pair in zip(parameters, gradients, strict=True)]
    if any(apart):
        update_written_out(config, [chosen(tensors, apart, True) for tensors in lists], rate, decoupled)
        lists = [chosen(tensors, apart, False) for tensors in lists]
    parameters, gradients, steps, means, squares = lists
    if parameters:
        torch_adam(
            parameters, gradients, means, squares, [], steps,
            lr=rate, beta1=config.betas[0], beta2=config.betas[1], eps=config.eps, weight_decay=config.weight_decay,
            decoupled_weight_decay=decoupled, amsgrad=False, maximize=False,
            foreach=traced, capturable=traced, fused=not traced,
        )  # fmt: skip


def chosen(tensors: list[Tensor], apart: list[bool], which: bool) -> list[Tensor]:
    """Return those of a list that are, or are not, apart."""
    return [tensor for tensor, own in zip(tensors, apart, strict=True) if own is which]


def written_out(parameter: Tensor, gradient: Tensor) -> bool:
    """Return whether the compiled step of a parameter is faster in :func:`update_written_out` than as torch writes it.

    It is on a CPU, and on a GPU for many weights whose gradient is laid out otherwise: there a kernel that reads both
    in tiles took 584 us of an H200, and 85 us written out (32 seeds of ``linear_vae_mnist``, 10 million weights).
    Elsewhere torch's way is one kernel for all parameters.
    """
    alike = gradient.stride() == parameter.stride()
    return parameter.device.type == "cpu" or (parameter.numel() >= MANY_WEIGHTS and not alike)


def update_written_out(config: AdamFamilyConfig, lists: list[list[Tensor]], rate: Tensor, decoupled: bool) -> None:
    """Take one step with bias corrections that are computed once; all parameters have taken equally many steps.

    On a CPU Inductor repeats for every weight what is computed of scalars, powers too, but not what it has reduced.

    Args:
        config: the settings.
        lists: the parameters, their gradients, and each part of :data:`STATE`.
        rate: the learning rate.
        decoupled: as in :func:`update`.
    """
    parameters, gradients, steps, means, squares = lists
    (beta1, beta2), decay = config.betas, config.weight_decay
    for step in steps:
        step.add_(1)
    taken = steps[0].double().expand(2)
    size = rate * (1 / (1 - torch.pow(beta1, taken))).amin().float()
    root = (1 - torch.pow(beta2, taken)).rsqrt().amin().float()
    for parameter, gradient, mean, square in zip(parameters, gradients, means, squares, strict=True):
        if decoupled:
            parameter.mul_(1 - rate * decay)
        elif decay:
            gradient = gradient.add(parameter, alpha=decay)
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        parameter.sub_(size * mean / (square.sqrt() * root + config.eps))
