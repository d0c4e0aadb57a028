"""Adam whose first steps are rectified (Liu et al. 2020)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.optim.radam import radam as torch_radam

from zoo.optimizers._adam import STATE, AdamFamilyConfig
from zoo.registry import register_optimizer


class RAdamConfig(AdamFamilyConfig):
    """Adam whose first steps are rectified (Liu et al. 2020)."""

    name: Literal["radam"] = "radam"


@register_optimizer(
    config=RAdamConfig,
    state=STATE,
    paper="Liu et al. 2020, On the Variance of the Adaptive Learning Rate and Beyond, arXiv:1908.03265",
)
def radam(
    config: RAdamConfig,
    parameters: list[Tensor],
    gradients: list[Tensor],
    state: dict[str, list[Tensor]],
    rate: Tensor,
    traced: bool,
) -> None:
    """Take one step."""
    foreach = traced or parameters[0].is_cuda  # there is no fused form
    torch_radam(
        parameters, gradients, state["exp_avg"], state["exp_avg_sq"], state["step"],
        lr=rate,  # type: ignore[arg-type]  # a tensor, as capturable needs it
        beta1=config.betas[0], beta2=config.betas[1], eps=config.eps, weight_decay=config.weight_decay,
        foreach=foreach, capturable=foreach,
    )  # fmt: skip
