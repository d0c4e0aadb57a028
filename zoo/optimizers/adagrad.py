"""Adagrad (Duchi, Hazan & Singer 2011)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim.adagrad import adagrad as torch_adagrad

from zoo.registry import register_optimizer
from zoo.schema.base import OptimizerConfig, Positive


class AdagradConfig(OptimizerConfig):
    """Adagrad (Duchi, Hazan & Singer 2011)."""

    name: Literal["adagrad"] = "adagrad"
    eps: Positive = Field(1e-10, description="The number added to the divisor, so that it is never 0.")


@register_optimizer(
    config=AdagradConfig,
    state=("sum",),
    paper="Duchi, Hazan & Singer 2011, Adaptive Subgradient Methods, JMLR 12",
)
def adagrad(
    config: AdagradConfig,
    parameters: list[Tensor],
    gradients: list[Tensor],
    state: dict[str, list[Tensor]],
    rate: Tensor,
    traced: bool,
) -> None:
    """Take one step."""
    foreach = traced or parameters[0].is_cuda
    # Only lr_decay needs the number of steps, which torch reads on the host: read from a GPU, it would be a wait.
    steps = [torch.zeros((), dtype=torch.float32, device=rate.device if traced else "cpu") for _ in parameters]
    torch_adagrad(
        parameters, gradients, state["sum"], steps,
        lr=rate, lr_decay=0.0, eps=config.eps, weight_decay=config.weight_decay,
        maximize=False, foreach=foreach, fused=False,
    )  # fmt: skip
