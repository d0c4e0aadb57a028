"""A run that goes on as another recipe says: for more epochs or fewer, to an earlier or a later end."""

from __future__ import annotations

from zoo.schema.recipe import Recipe
from zoo.schema.sections import Stretch, Training


def may_go_on(before: Recipe, recipe: Recipe) -> Recipe:
    """Return the recipe of a run with the fields of ``recipe`` that may change when it goes on.

    Those are ``training.epochs``, ``training.steps``, ``training.storage`` (checkpoints hold float32 either way) and
    ``training.select.patience``; ``training.stretches`` may grow.
    Where the result differs from ``recipe``, the run cannot go on as ``recipe`` says.
    """
    then, now = before.training, recipe.training
    update: dict[str, object] = {"epochs": now.epochs, "steps": now.steps, "storage": now.storage}
    if now.stretches[: len(then.stretches)] == then.stretches or _earlier(then, now):
        update["stretches"] = now.stretches
    if then.select and now.select:
        update["select"] = then.select.model_copy(update={"patience": now.select.patience})
    return before.model_copy(update={"training": then.model_copy(update=update)})


def going_on(before: Recipe, recipe: Recipe, begun: int) -> Recipe:
    """Return the recipe of a run that goes on, with a stretch for the epochs whose learning rate it would change.

    Args:
        before: the recipe so far.
        recipe: the recipe to go on with.
        begun: the number of epochs that have begun.
    """
    then, now = before.training, recipe.training
    if not _earlier(then, now):
        return recipe
    stretches = then.stretches
    schedule, first = recipe.optimizer.schedule, stretches[-1].until if stretches else 0
    changed = (
        schedule.factor(epoch, then.epochs) != schedule.factor(epoch, now.epochs) for epoch in range(first, begun)
    )
    if now.epochs != then.epochs and any(changed):
        stretches = (*stretches, Stretch(until=begun, epochs=then.epochs))
    return recipe.model_copy(update={"training": now.model_copy(update={"stretches": stretches})})


def _earlier(then: Training, now: Training) -> bool:
    """Return whether ``now`` states no stretches but those that ``then`` begins with."""
    return then.stretches[: len(now.stretches)] == now.stretches
