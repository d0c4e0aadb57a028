"""torch's optimizers in their functional form, built from the recipe's optimizer section.

The state is created once, before the first step, and every tensor stays where it is: a captured CUDA graph reads and
writes tensors by address, and a compiled step can be traced as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.registry import OPTIMIZERS
from zoo.schema.base import OptimizerConfig
from zoo.training.parameter_names import check_patterns, matches

Lists = dict[str, list[Tensor]]
"""One tensor per parameter, by the name of the state."""

AVERAGE = "average"
"""The state that holds the moving averages of the weights."""

GRADIENT_NORM = "gradient norm"
"""The name under which the norm of the gradients is summed; no term of an objective can be called so."""


@dataclass(frozen=True)
class Group:
    """Parameters that are updated with the same settings."""

    config: OptimizerConfig
    indices: list[int]
    """The parameters, as indices into those of the optimizer."""


class Optimizer:
    """Updates parameters in place.

    Args:
        config: the recipe's optimizer section.
        named: the parameters to update by name; those that need no gradient are left out.
        steps_per_epoch: the steps in an epoch, for the warm-up, which counts in epochs.
        stacked: whether the first dimension of every parameter is that of several models.

    Raises:
        ZooError: there is nothing to train, or a group of the config names no parameter.
    """

    def __init__(
        self,
        config: OptimizerConfig,
        named: Iterable[tuple[str, nn.Parameter]],
        steps_per_epoch: int = 1,
        *,
        stacked: bool = False,
    ) -> None:
        self.config, self.rule, self.stacked = config, OPTIMIZERS.get(config.name), int(stacked)
        trained = [(name, parameter) for name, parameter in named if parameter.requires_grad]
        if not trained:
            raise ZooError("training.freeze leaves no parameter to train; leave one out of it")
        self.parameters = [parameter for _, parameter in trained]
        self.rate = torch.zeros((), dtype=torch.float32, device=self.parameters[0].device)
        self.groups = groups_of(config, [name for name, _ in trained], [p.dim() - stacked for p in self.parameters])
        self.warmup_steps = max(1, round(config.warmup_epochs * steps_per_epoch)) if config.warmup_epochs else 0
        self.state: Lists = {
            name: [
                torch.zeros((), dtype=torch.float32, device=p.device) if name == "step" else torch.zeros_like(p)
                for p in self.parameters
            ]
            for name in self.rule.state
        }
        if config.ema_decay is not None:
            self.state[AVERAGE] = [parameter.detach().clone() for parameter in self.parameters]
        self.logs = [] if config.clip_norm is None else [GRADIENT_NORM]
        """The names of what :meth:`update` returns."""
        self.set_rate(0, 1)

    def set_rate(self, epoch: int, epochs: int) -> float:
        """Set and return the learning rate of 0-based ``epoch`` of ``epochs``, before the factor of the warm-up."""
        rate: float = self.config.learning_rate * self.config.schedule.factor(epoch, epochs)
        self.rate.fill_(rate)
        return rate

    def warmup(self, done: int) -> float:
        """Return the factor of the learning rate in the step after ``done`` steps, 1 from the end of the warm-up on."""
        return min(1.0, (done + 1) / self.warmup_steps) if self.warmup_steps else 1.0

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor | None], done: Tensor) -> dict[str, Tensor]:
        """Take one step; a parameter whose gradient is None stays as it is.

        Args:
            gradients: the gradient of each parameter, or None.
            done: the steps taken before, a scalar on the device.

        Returns:
            What there is to log of the step, by name, each a scalar, or (S,) for S stacked models.
        """
        logged: dict[str, Tensor] = {}
        if self.config.clip_norm is not None:
            gradients, logged[GRADIENT_NORM] = clipped(gradients, self.config.clip_norm, self.stacked)
        rate = self.rate * ((done + 1) / self.warmup_steps).clamp(max=1) if self.warmup_steps else self.rate
        for group in self.groups:
            self.update_group(group, gradients, rate)
        if self.config.ema_decay is not None:
            weights: list[Tensor] = [*self.parameters]
            torch._foreach_lerp_(self.state[AVERAGE], weights, 1 - self.config.ema_decay)
        return logged

    def update_group(self, group: Group, gradients: Sequence[Tensor | None], rate: Tensor) -> None:
        """Update the parameters of a group; ``rate`` is the learning rate of those that have none of their own."""
        used = [index for index in group.indices if gradients[index] is not None]
        if not used:
            return
        parameters = [self.parameters[index] for index in used]
        state = {name: [self.state[name][index] for index in used] for name in self.rule.state}
        defined = [gradient for gradient in (gradients[index] for index in used) if gradient is not None]
        traced = torch.compiler.is_compiling()  # then written out, so that the compiler fuses it
        if not traced:  # torch's kernel, which needs gradients laid out like their parameters
            defined = [
                g if g.stride() == p.stride() else torch.empty_like(p).copy_(g)
                for p, g in zip(parameters, defined, strict=True)
            ]
        if group.config.learning_rate != self.config.learning_rate:
            rate = rate * (group.config.learning_rate / self.config.learning_rate)
        self.rule.build(group.config, parameters, defined, state, rate, traced)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the parameters hold the moving averages of the weights, where they are kept, while the context is active.

        Tensors change places and nothing is copied, so that captured graphs find the weights where they were.
        """
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for parameter, average in zip(self.parameters, self.state.get(AVERAGE, ()), strict=False):
            parameter.data, average.data = average.data, parameter.data

    def state_dict(self) -> Lists:
        """Return the state; its tensors are the live ones."""
        return self.state

    @torch.no_grad()
    def load_state_dict(self, state: Lists) -> None:
        """Copy a state into this optimizer's tensors."""
        for name, tensors in self.state.items():
            for target, source in zip(tensors, state[name], strict=True):
                target.copy_(source)


def groups_of(config: OptimizerConfig, names: Sequence[str], dimensions: Sequence[int]) -> list[Group]:
    """Return the groups that a config divides parameters into, by their names and numbers of dimensions.

    Raises:
        ZooError: a pattern names none of them.
    """
    for number, group in enumerate(config.groups):
        check_patterns(group.parameters, names, f"optimizer.groups.{number}.parameters")
    settings: dict[tuple[float, float], list[int]] = {}
    for index, (name, dimension) in enumerate(zip(names, dimensions, strict=True)):
        own = next((group for group in config.groups if matches(name, group.parameters)), None)
        rate = own.learning_rate if own and own.learning_rate is not None else config.learning_rate
        decay = own.weight_decay if own and own.weight_decay is not None else config.weight_decay
        if config.decay == "matrices" and dimension < 2:
            decay = 0.0
        settings.setdefault((rate, decay), []).append(index)
    return [
        Group(config.model_copy(update={"learning_rate": rate, "weight_decay": decay}), indices)
        for (rate, decay), indices in settings.items()
    ]


def clipped(gradients: Sequence[Tensor | None], most: float, stacked: int) -> tuple[list[Tensor | None], Tensor]:
    """Scale gradients so that the norm of all together is at most ``most``, and return the norm before that.

    Args:
        gradients: the gradient of each parameter, or None.
        most: the largest norm.
        stacked: the number of dimensions before those of a model, each model of which has a norm of its own.
    """
    flat = [g.reshape(*g.shape[:stacked], -1) for g in gradients if g is not None]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g, dim=-1) for g in flat]), dim=0)
    factor = (most / (norm + 1e-6)).clamp(max=1)  # as torch.nn.utils.clip_grad_norm_
    scaled = [None if g is None else g * factor.reshape(*factor.shape, *[1] * (g.dim() - stacked)) for g in gradients]
    return scaled, norm
