"""Code that Adam and AdamW share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor
from torch.optim.adam import adam as torch_adam

from zoo.schema.base import OptimizerConfig, Positive, Probability

STATE = ("step", "exp_avg", "exp_avg_sq")


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
    if traced:
        return update_traced(config, parameters, gradients, state, rate, decoupled)
    torch_adam(
        parameters, gradients, state["exp_avg"], state["exp_avg_sq"], [], state["step"],
        lr=rate, beta1=config.betas[0], beta2=config.betas[1], eps=config.eps, weight_decay=config.weight_decay,
        decoupled_weight_decay=decoupled, amsgrad=False, maximize=False, foreach=False, fused=True,
    )  # fmt: skip


def update_traced(
    config: AdamFamilyConfig,
    parameters: list[Tensor],
    gradients: Sequence[Tensor],
    state: dict[str, list[Tensor]],
    rate: Tensor,
    decoupled: bool,
) -> None:
    """Take one step with bias corrections that are computed once; all parameters have taken equally many steps.

    Inductor repeats for every weight what is computed of scalars, powers included, but not what it has reduced.
    """
    (beta1, beta2), decay = config.betas, config.weight_decay
    means, squares = state["exp_avg"], state["exp_avg_sq"]
    torch._foreach_add_(state["step"], 1)
    steps = state["step"][0].double().expand(2)
    size = rate * (1 / (1 - torch.pow(beta1, steps))).amin().float()
    root = (1 - torch.pow(beta2, steps)).rsqrt().amin().float()
    if decoupled:
        torch._foreach_mul_(parameters, 1 - rate * decay)
    elif decay:
        gradients = torch._foreach_add(gradients, parameters, alpha=decay)
    torch._foreach_lerp_(means, gradients, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
    divisors = torch._foreach_sqrt(squares)
    torch._foreach_mul_(divisors, root)
    torch._foreach_add_(divisors, config.eps)
    changes = torch._foreach_div(means, divisors)
    torch._foreach_mul_(changes, size)
    torch._foreach_sub_(parameters, changes)
