"""The choice of the memory layout of convolutions on a CPU, by taking a few steps in both."""

from __future__ import annotations

from zoo.schema.sections import Execution
from zoo.training.conv_backend import Layout, lay_out
from zoo.training.execution import LEAST_STEPS, convolutional
from zoo.training.machine_times import recalled, remember
from zoo.training.runners import EagerRunner, least_seconds
from zoo.training.step import Step

CLEARLY = 0.97
"""The part of the time that the other layout has to stay below, so that it is no chance."""


def choose_layout(
    step: Step,
    settings: Execution,
    sizes: list[int],
    steps_left: int,
    before: Layout | None,
    begins: bool,
    key: str,
) -> Layout | None:
    """Choose, and take, the faster memory layout of a model's convolutions on a CPU, where the recipe leaves it open.

    This runs steps: the caller restores every state afterwards.

    Args:
        step: the step as written.
        settings: the recipe's section on execution.
        sizes: the sizes of an epoch's batches.
        steps_left: the steps left in the whole run.
        before: what an earlier part of the same run has chosen.
        begins: whether the run has taken no step yet; what goes on without a choice stays without one.
        key: equal for equal steps.

    Returns:
        The layout, or None where there was nothing to choose.
    """
    open_ = settings.convolutions == "auto" and step.done.device.type == "cpu" and not step.on_cuda
    if not open_ or step.group.size > 1 or not convolutional(step):
        return None
    if before is None:
        if not begins or steps_left < LEAST_STEPS:
            return None
        known = recalled(key)
        if "channels_last" not in known:
            runner, least = EagerRunner(step, step, sizes), [float("inf"), float("inf")]
            for _ in range(4):
                for index in range(2):
                    undo = lay_out(step.optimizer) if index else lambda: None
                    runner.run(1, sizes[0])  # what libraries set up for a layout
                    least[index] = min(least[index], *least_seconds([runner], rounds=1, steps=3))
                    undo()
            known |= {"contiguous": least[0], "channels_last": least[1]}
            remember(key, known)
        before = "channels_last" if known["channels_last"] < CLEARLY * known["contiguous"] else "contiguous"
    if before == "channels_last":
        lay_out(step.optimizer)
    return before
