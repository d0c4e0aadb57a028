"""Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from zoo.optimizers._adam import STATE, AdamFamilyConfig, update
from zoo.registry import register_optimizer
from zoo.schema.base import NonNegative


class AdamWConfig(AdamFamilyConfig):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = "adamw"
    weight_decay: NonNegative = Field(0.01, description="The factor of the decoupled decay.")


@register_optimizer(
    config=AdamWConfig,
    state=STATE,
    paper="Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101",
)
def adamw(
    config: AdamWConfig,
    parameters: list[Tensor],
    gradients: list[Tensor],
    state: dict[str, list[Tensor]],
    rate: Tensor,
    traced: bool,
) -> None:
    """Take one step."""
    update(config, parameters, gradients, state, rate, traced, decoupled=True)
