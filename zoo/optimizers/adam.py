"""Adam (Kingma & Ba 2015)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from zoo.optimizers._adam import STATE, AdamFamilyConfig, update
from zoo.registry import register_optimizer


class AdamConfig(AdamFamilyConfig):
    """Adam (Kingma & Ba 2015)."""

    name: Literal["adam"] = "adam"


@register_optimizer(
    config=AdamConfig,
    state=STATE,
    paper="Kingma & Ba 2015, Adam: A Method for Stochastic Optimization, arXiv:1412.6980",
)
def adam(
    config: AdamConfig,
    parameters: list[Tensor],
    gradients: list[Tensor],
    state: dict[str, list[Tensor]],
    rate: Tensor,
    traced: bool,
) -> None:
    """Take one step."""
    update(config, parameters, gradients, state, rate, traced, decoupled=False)
