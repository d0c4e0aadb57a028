"""A search for the best settings of a recipe: the fields that vary, the metric, and the recipes of the trials."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from zoo.errors import ZooError
from zoo.metrics import Metric
from zoo.schema.recipe import Recipe, parse_recipe
from zoo.schema.search_space import Domain

Space = Mapping[str, tuple[Domain, bool]]
"""The domains of a search by field, each with True if the field takes whole numbers only."""


@dataclass(frozen=True)
class Search:
    """A recipe, what is searched, and by which metric.

    Raises:
        ZooError: no validation images are cut off, or the metric is none to choose by.
    """

    recipe: Recipe
    space: Space
    metric: Metric
    name: str
    """The name of the study, with which the names of its runs begin."""
    out: Path
    """The folder of the run folders."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """The name of this process among those that work on the study."""

    def __post_init__(self) -> None:
        if self.recipe.training.validation is None:
            raise ZooError(
                "trials are chosen by validation images, never by test images, and the recipe cuts none off: add "
                "--set training.validation=0.1"
            )
        if not self.metric.better or not self.metric.repeatable:
            raise ZooError(f"--metric {self.metric.name}: no value is better than another, every time; name another")

    def trial_name(self, number: int) -> str:
        """Return the name of the run of a trial."""
        return f"{self.name}_trial_{number}"

    def recipe_of(self, number: int, settings: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a trial.

        Raises:
            ZooError: the settings do not go together.
        """
        words = f"Trial {number} of a search from {self.recipe.name}"
        return with_settings(self.recipe, settings, self.trial_name(number), words)

    def lock(self, token: str) -> FileLock:
        """Return the lock that a process holds while it works on the study."""
        return FileLock(self.out / f".{self.name}-{token}.lock")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold the lock of this process in the context, so that the others know that its trial is not abandoned."""
        lock = self.lock(self.token)
        try:
            with lock:
                yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)


def with_settings(recipe: Recipe, settings: Mapping[str, Any], name: str, summary: str) -> Recipe:
    """Return a recipe with other settings, and without what it says of the weights of its own.

    Raises:
        ZooError: the settings do not go together.
    """
    fields = recipe.to_dict()
    del fields["claims"]
    fields["source"].pop("published", None)
    fields |= {"name": name, "summary": summary}
    return parse_recipe(fields, f"trial of {recipe.name}", [f"{key}={value}" for key, value in settings.items()])
