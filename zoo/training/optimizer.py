"""torch's optimizers in their functional form, built from the recipe's optimizer section.

The state is created once, before the first step, and every tensor stays where it is: a captured CUDA graph reads and
writes tensors by address, and a compiled step can be traced as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from zoo.registry import OPTIMIZERS
from zoo.schema.base import OptimizerConfig

Lists = dict[str, list[Tensor]]
"""One tensor per parameter, by the name of the state."""


class Optimizer:
    """Updates parameters in place.

    Args:
        config: the recipe's optimizer section.
        parameters: the parameters to update; those that need no gradient are left out.
    """

    def __init__(self, config: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> None:
        self.config, self.rule = config, OPTIMIZERS.get(config.name)
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.rate = torch.zeros((), dtype=torch.float32, device=self.parameters[0].device)
        self.state: Lists = {
            name: [
                torch.zeros((), dtype=torch.float32, device=p.device) if name == "step" else torch.zeros_like(p)
                for p in self.parameters
            ]
            for name in self.rule.state
        }
        self.set_rate(0, 1)

    def set_rate(self, epoch: int, epochs: int) -> float:
        """Set and return the learning rate of 0-based ``epoch`` of ``epochs``."""
        rate: float = self.config.learning_rate * self.config.schedule.factor(epoch, epochs)
        self.rate.fill_(rate)
        return rate

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor | None]) -> None:
        """Take one step; a parameter whose gradient is None stays as it is."""
        used = [index for index, gradient in enumerate(gradients) if gradient is not None]
        parameters = [self.parameters[index] for index in used]
        state = {name: [tensors[index] for index in used] for name, tensors in self.state.items()}
        defined = [gradient for gradient in gradients if gradient is not None]
        traced = torch.compiler.is_compiling()  # then written out, so that the compiler fuses it
        if not traced:  # torch's kernel, which needs gradients laid out like their parameters
            defined = [
                g if g.stride() == p.stride() else torch.empty_like(p).copy_(g)
                for p, g in zip(parameters, defined, strict=True)
            ]
        self.rule.build(self.config, parameters, defined, state, self.rate, traced)

    def state_dict(self) -> Lists:
        """Return the state; its tensors are the live ones."""
        return self.state

    @torch.no_grad()
    def load_state_dict(self, state: Lists) -> None:
        """Copy a state into this optimizer's tensors."""
        for name, tensors in self.state.items():
            for target, source in zip(tensors, state[name], strict=True):
                target.copy_(source)
