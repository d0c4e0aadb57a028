"""From the recipe's optimizer section to torch's optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn, optim

from zoo.sections import SGD, Adam, AdamW, OptimizerConfig, RMSprop


def build_optimizer(config: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """The optimizer with the learning rate of the first epoch."""
    settings = config.model_dump(exclude={"name", "learning_rate", "schedule"})
    classes: dict[type[OptimizerConfig], Callable[..., optim.Optimizer]] = {
        Adam: optim.Adam,
        AdamW: optim.AdamW,
        SGD: optim.SGD,
        RMSprop: optim.RMSprop,
    }
    if not isinstance(config, RMSprop):  # which has no fused form
        settings["fused"] = True
    return classes[type(config)](parameters, lr=config.learning_rate, **settings)


def set_learning_rate(optimizer: optim.Optimizer, config: OptimizerConfig, epoch: int, epochs: int) -> float:
    """Set and return the learning rate of 0-based ``epoch``."""
    rate: float = config.learning_rate * config.schedule.factor(epoch, epochs)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate
