"""Who is compared: what a contestant does, which ones there are, and which recipes all of them can train alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict

from zoo.datasets import ImageSet
from zoo.errors import ZooError
from zoo.models.autoencoder import Autoencoder
from zoo.optimizers.adam import AdamConfig
from zoo.schema.recipe import Recipe, parse_recipe

Kind = Literal["reference", "pythae", "jax", "ours"]


class Absent(ZooError):
    """A contestant cannot take part here; the others go on without it."""


class Contestant:
    """One way to train a recipe. It starts from the weights that the recipe's seed gives."""

    models: Sequence[Autoencoder]
    """What it trains: one model, or several at once."""
    how: str = ""
    """What it has chosen to do on this device, where it chooses."""

    def train_epoch(self) -> None:
        """What is timed: every training image once. A GPU may still be at work on return."""
        raise NotImplementedError

    def end_epoch(self) -> None:
        """What belongs to an epoch but is not training, such as measuring test images; not timed."""


class Entrant(BaseModel):
    """A contestant that has not been built yet, as JSON can hold it: it may be built in another process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    """Its name in tables."""
    kind: Kind
    recipe: dict[str, Any]
    workers: int = 0
    """Processes that read images for the reference loop."""
    models: int = 1
    """How many are trained at once, each from a seed of its own."""

    def build(self, train: ImageSet, test: ImageSet, device: torch.device) -> Contestant:
        """With fresh weights on the device.

        Raises:
            Absent: it cannot be had here; says why.
        """
        recipe = comparable(parse_recipe(self.recipe, self.label))
        if self.kind == "reference":
            from tests.benchmarks.reference_loop import ReferenceLoop

            return ReferenceLoop(recipe, train, device, self.workers)
        if self.kind == "pythae":
            try:
                from tests.benchmarks.pythae_loop import PythaeLoop
            except ModuleNotFoundError as error:
                raise Absent(f"{error.name} is not installed (pip install pythae==0.1.2)") from error
            return PythaeLoop(recipe, train, device)
        if self.kind == "jax":
            try:
                from tests.benchmarks.jax_loop import JaxLoop
            except ModuleNotFoundError as error:
                raise Absent(f"{error.name} is not installed (pip install jax optax)") from error
            return JaxLoop(recipe, train, device)
        from tests.benchmarks.ours import Ours

        return Ours(recipe, train, test, device, self.models)


def reference(recipe: Recipe) -> list[Entrant]:
    """The loop of pytorch/examples, with both numbers of workers that it uses: 0 on a CPU, 1 on a GPU.

    Either may be the faster one on a given machine; the faster one is what others are compared with.
    """
    fields = recipe.to_dict()
    return [
        Entrant(label=f"reference, {workers} worker{'s' * (workers != 1)}", kind="reference", recipe=fields,
                workers=workers)
        for workers in (0, 1)
    ]  # fmt: skip


def ours(recipe: Recipe, *, label: str = "ours", models: int = 1, like: Recipe | None = None) -> Entrant:
    """The zoo's own trainer.

    Args:
        recipe: with the settings of its execution.
        label: its name in tables.
        models: how many are trained at once.
        like: what the others train.

    Raises:
        ZooError: the recipe is not that of the others.
    """
    if like is not None and recipe.digest() != like.digest():
        raise ZooError(
            f"{label}: its recipe differs from what the others train in more than its execution; "
            f"change only fields such as execution.compile"
        )
    return Entrant(label=label, kind="ours", recipe=recipe.to_dict(), models=models)


def comparable(recipe: Recipe) -> Recipe:
    """The recipe itself, if the published loops can train it as it is.

    Raises:
        ZooError: they cannot; says why.
    """
    hindrances = {
        "its images are not grey": recipe.data.image_shape[0] != 1,
        "its images are binarised": recipe.data.binarization != "none",
        "its objective has settings of its own": bool(
            recipe.objective.model_dump(exclude={"name"}, exclude_defaults=True)
        ),
        "its optimizer is not Adam with torch's defaults": (
            recipe.optimizer.model_dump() != AdamConfig(learning_rate=recipe.optimizer.learning_rate).model_dump()
        ),
    }
    found = [words for words, hinders in hindrances.items() if hinders]
    if found:
        raise ZooError(f"{recipe.name} cannot be compared with published training loops: {' and '.join(found)}")
    return recipe
