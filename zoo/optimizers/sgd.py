"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.optim.sgd import sgd as torch_sgd

from zoo.registry import register_optimizer
from zoo.schema.base import OptimizerConfig, Probability


class SGDConfig(OptimizerConfig):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    momentum: Probability = Field(0.0, description="The share of the last update that is added to the next one.")


@register_optimizer(
    config=SGDConfig,
    state=("momentum_buffer",),
    paper="Robbins & Monro 1951; Sutskever, Martens, Dahl & Hinton 2013, ICML",
)
def sgd(
    config: SGDConfig,
    parameters: list[Tensor],
    gradients: list[Tensor],
    state: dict[str, list[Tensor]],
    rate: Tensor,
    traced: bool,
) -> None:
    """Take one step."""
    momentum: list[Tensor | None] = list(state["momentum_buffer"]) if config.momentum else [None] * len(parameters)
    torch_sgd(
        parameters, gradients, momentum, lr=rate, momentum=config.momentum, weight_decay=config.weight_decay,
        dampening=0, nesterov=False, maximize=False, foreach=traced, fused=not traced,
    )  # fmt: skip
