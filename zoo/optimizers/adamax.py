"""Adam with the infinity norm in place of the second moment (Kingma & Ba 2015, section 7.1)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.optim.adamax import adamax as torch_adamax

from zoo.optimizers._adam import AdamFamilyConfig
from zoo.registry import register_optimizer


class AdamaxConfig(AdamFamilyConfig):
    """Adam with the infinity norm in place of the second moment (Kingma & Ba 2015, section 7.1)."""

    name: Literal["adamax"] = "adamax"


@register_optimizer(
    config=AdamaxConfig,
    state=("step", "exp_avg", "exp_inf"),
    paper="Kingma & Ba 2015, Adam: A Method for Stochastic Optimization, arXiv:1412.6980, section 7.1",
)
def adamax(
    config: AdamaxConfig,
    parameters: list[Tensor],
    gradients: list[Tensor],
    state: dict[str, list[Tensor]],
    rate: Tensor,
    traced: bool,
) -> None:
    """Take one step."""
    foreach = traced or parameters[0].is_cuda  # there is no fused form
    torch_adamax(
        parameters, gradients, state["exp_avg"], state["exp_inf"], state["step"],
        lr=rate, beta1=config.betas[0], beta2=config.betas[1], eps=config.eps, weight_decay=config.weight_decay,
        foreach=foreach, capturable=foreach,
    )  # fmt: skip
