"""RMSprop (Tieleman & Hinton 2012)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.optim.rmsprop import rmsprop as torch_rmsprop

from zoo.registry import register_optimizer
from zoo.schema.base import OptimizerConfig, Positive, Probability


class RMSpropConfig(OptimizerConfig):
    """RMSprop (Tieleman & Hinton 2012)."""

    name: Literal["rmsprop"] = "rmsprop"
    alpha: Probability = Field(0.99, description="The decay of the moving average of squared gradients.")
    eps: Positive = Field(1e-8, description="The number added to the divisor, so that it is never 0.")
    momentum: Probability = Field(0.0, description="The share of the last update that is added to the next one.")


@register_optimizer(
    config=RMSpropConfig,
    state=("step", "square_avg", "momentum_buffer"),
    paper="Tieleman & Hinton 2012, Neural Networks for Machine Learning, lecture 6.5",
)
def rmsprop(
    config: RMSpropConfig,
    parameters: list[Tensor],
    gradients: list[Tensor],
    state: dict[str, list[Tensor]],
    rate: Tensor,
    traced: bool,
) -> None:
    """Take one step."""
    foreach = traced or parameters[0].is_cuda  # there is no fused form
    torch_rmsprop(
        parameters, gradients, state["square_avg"], [], state["momentum_buffer"], state["step"],
        lr=rate, alpha=config.alpha, eps=config.eps, weight_decay=config.weight_decay, momentum=config.momentum,
        centered=False, foreach=foreach, capturable=foreach,
    )  # fmt: skip
