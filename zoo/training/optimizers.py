"""From the recipe's optimizer section to torch's optimizers, in their functional form.

The state is made once, before the first step, and every tensor stays where it is: a captured CUDA graph reads and
writes tensors by address, and a compiled step can be traced as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from zoo.schema.sections import SGD, Adam, AdamW, OptimizerConfig, RMSprop

Lists = dict[str, list[Tensor]]
"""A state's name → one tensor per parameter."""


class Optimizer:
    """Updates parameters in place.

    Args:
        config: which optimizer.
        parameters: what it updates.
    """

    def __init__(self, config: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> None:
        self.config = config
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.rate = torch.zeros((), device=self.parameters[0].device)
        self.state: Lists = {
            name: [torch.zeros((), device=p.device) if name == "step" else torch.zeros_like(p) for p in self.parameters]
            for name in STATES[type(config)]
        }
        self.set_rate(0, 1)

    def set_rate(self, epoch: int, epochs: int) -> float:
        """Set and return the learning rate of 0-based ``epoch`` of ``epochs``."""
        rate: float = self.config.learning_rate * self.config.schedule.factor(epoch, epochs)
        self.rate.fill_(rate)
        return rate

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor | None]) -> None:
        """One step; a parameter whose gradient is None stays as it is."""
        used = [index for index, gradient in enumerate(gradients) if gradient is not None]
        parameters = [self.parameters[index] for index in used]
        state = {name: [tensors[index] for index in used] for name, tensors in self.state.items()}
        found = [gradient for gradient in gradients if gradient is not None]
        traced = torch.compiler.is_compiling()  # then written out, so that the compiler fuses it
        if not traced:  # torch's own kernel, which needs gradients laid out like their parameters
            found = [
                g if g.stride() == p.stride() else torch.empty_like(p).copy_(g)
                for p, g in zip(parameters, found, strict=True)
            ]
        UPDATES[type(self.config)](self.config, parameters, found, state, self.rate, traced)

    def state_dict(self) -> Lists:
        """The live state."""
        return self.state

    @torch.no_grad()
    def load_state_dict(self, state: Lists) -> None:
        """Copy a state into this one."""
        for name, tensors in self.state.items():
            for mine, other in zip(tensors, state[name], strict=True):
                mine.copy_(other)


def _adam(
    config: Adam, parameters: list[Tensor], gradients: list[Tensor], state: Lists, rate: Tensor, traced: bool
) -> None:
    adam(
        parameters, gradients, state["exp_avg"], state["exp_avg_sq"], [], state["step"],
        lr=rate, beta1=config.betas[0], beta2=config.betas[1], eps=config.eps, weight_decay=config.weight_decay,
        decoupled_weight_decay=isinstance(config, AdamW), amsgrad=False, maximize=False,
        foreach=traced, capturable=traced, fused=not traced,
    )  # fmt: skip


def _sgd(
    config: SGD, parameters: list[Tensor], gradients: list[Tensor], state: Lists, rate: Tensor, traced: bool
) -> None:
    momentum: list[Tensor | None] = list(state["momentum_buffer"]) if config.momentum else [None] * len(parameters)
    sgd(
        parameters, gradients, momentum, lr=rate, momentum=config.momentum, weight_decay=config.weight_decay,
        dampening=0, nesterov=False, maximize=False, foreach=traced, fused=not traced,
    )  # fmt: skip


def _rmsprop(
    config: RMSprop,
    parameters: list[Tensor],
    gradients: list[Tensor],
    state: Lists,
    rate: Tensor,
    traced: bool,
) -> None:
    foreach = traced or parameters[0].is_cuda  # there is no fused form
    rmsprop(
        parameters, gradients, state["square_avg"], [], state["momentum_buffer"], state["step"],
        lr=rate, alpha=config.alpha, eps=config.eps, weight_decay=config.weight_decay, momentum=config.momentum,
        centered=False, foreach=foreach, capturable=foreach,
    )  # fmt: skip


UPDATES: dict[type[OptimizerConfig], Callable[..., Any]] = {Adam: _adam, AdamW: _adam, SGD: _sgd, RMSprop: _rmsprop}
STATES: dict[type[OptimizerConfig], tuple[str, ...]] = {
    Adam: ("step", "exp_avg", "exp_avg_sq"),
    AdamW: ("step", "exp_avg", "exp_avg_sq"),
    SGD: ("momentum_buffer",),
    RMSprop: ("step", "square_avg", "momentum_buffer"),
}
"""What each keeps per parameter; all of it starts at zero, as in torch.optim."""
