"""Code that Adam and AdamW share."""

from __future__ import annotations

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
    torch_adam(
        parameters, gradients, state["exp_avg"], state["exp_avg_sq"], [], state["step"],
        lr=rate, beta1=config.betas[0], beta2=config.betas[1], eps=config.eps, weight_decay=config.weight_decay,
        decoupled_weight_decay=decoupled, amsgrad=False, maximize=False,
        foreach=traced, capturable=traced, fused=not traced,
    )  # fmt: skip
