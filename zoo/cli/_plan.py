"""The list of runs that a command line of ``zoo train`` stands for, and the part of it that a job takes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from zoo.cli._common import CHANGED, becomes_another, expand_recipes, find_recipe
from zoo.errors import ZooError
from zoo.system.files import user_path

if TYPE_CHECKING:
    from zoo.schema.grid import Axis
    from zoo.schema.recipe import Recipe

T = TypeVar("T")


@dataclass(frozen=True)
class Planned:
    """A run that is to be."""

    recipe: Recipe
    base: str
    """The name of the recipe before a grid changes it."""
    point: tuple[str, ...]
    """A value of each axis of the grid."""


def axis(text: str) -> Axis:
    """Parse an axis of a grid, ``objective.beta=1,2,4``.

    Raises:
        ZooError: the text has another form, or a value is empty or there twice.
    """
    from zoo.schema.grid import Axis

    try:
        return Axis.parse(text)
    except ValueError as error:
        raise ZooError(f"--grid {text}: {error}") from error


def shard(text: str) -> tuple[int, int]:
    """Parse ``3/16``: the third of 16 parts.

    Raises:
        ZooError: the text has another form, or there is no such part.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not match:
        raise ZooError(f"--shard: expected PART/PARTS as in 3/16, got {text[:40]!r}")
    part, parts = int(match[1]), int(match[2])
    if not 1 <= part <= parts:
        raise ZooError(f"--shard: there is no part {part} of {parts}; the parts are 1 to {parts}")
    return part, parts


def plan(options: argparse.Namespace, overrides: Sequence[str]) -> list[Planned]:
    """Return every run of a command line: each recipe, at each point of the grid, with each seed.

    Raises:
        ZooError: a recipe is not there or wrong, or the grid sets a field twice.
    """
    from zoo.schema.grid import check_grid, points

    after = ["training.seed"] if options.seeds else []
    before = [override.partition("=")[0] for override in overrides]
    check_grid(options.grid, [field for field in before if field not in after], after)
    return [
        Planned(recipe, base, point)
        for source in expand_recipes(options.recipes, everything=options.all)
        for point in points(options.grid)
        for base, found in [at(source, overrides, options.grid, point)]  # found once: a pipe is read once
        for recipe in with_seeds(found, options.seeds)
    ]


def at(source: str, overrides: Sequence[str], axes: Sequence[Axis], point: Sequence[str]) -> tuple[str, Recipe]:
    """Return a recipe at a point of a grid, named by its values, and the recipe's name without them.

    Raises:
        ZooError: there is none, it is wrong, or there is no room for its values in its name.
    """
    from zoo.schema.grid import name_of

    if not axes:
        recipe = find_recipe(source, overrides)
        return recipe.name, recipe
    path = user_path(source)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ZooError(f"{source} is a pipe, which can be read once: for --grid, write the recipe into a file")
    chosen = [f"{axis.field}={value}" for axis, value in zip(axes, point, strict=True)]
    try:
        recipe = find_recipe(source, [*overrides, *chosen])
    except ZooError as error:  # the words are about --set, which the user has not written
        raise ZooError(_of_grid(str(error), axes)) from error
    base = recipe.name.removesuffix(CHANGED)
    base += CHANGED if becomes_another(base, overrides) else ""
    name = name_of(base, axes, point)
    if len(name) > 64:
        raise ZooError(
            f"--grid: the name {name} is longer than 64 characters; --set name=mine calls the recipe shorter"
        )
    return base, recipe.model_copy(update={"name": name})


def _of_grid(message: str, axes: Sequence[Axis]) -> str:
    for axis in axes:
        message = re.sub(rf"--set ('?){re.escape(axis.field)}\b", rf"--grid \1{axis.field}", message)
    return message.replace(" with --set:", " with --grid:")


def with_seeds(recipe: Recipe, seeds: Sequence[int]) -> list[Recipe]:
    """Return the recipe with each of the seeds, or as it is where there are none."""
    trainings = [recipe.training.model_copy(update={"seed": seed}) for seed in seeds] or [recipe.training]
    return [recipe.model_copy(update={"training": training}) for training in trainings]


def part_of(runs: Sequence[T], shard: tuple[int, int] | None) -> list[T]:
    """Return the part of a list that ``shard`` names, neighbours, so that seeds of a recipe stay together.

    The parts of one list are disjoint, together the whole list, and differ in length by one at most.
    """
    part, parts = shard or (1, 1)
    return list(runs[(part - 1) * len(runs) // parts : part * len(runs) // parts])


def folder_of(planned: Planned, options: argparse.Namespace, *, several: bool) -> Path:
    """Return the folder that a run is written to."""
    if options.out and not several:
        return Path(options.out)
    recipe = planned.recipe
    name = f"{recipe.name}-seed{recipe.training.seed}" if options.seeds else recipe.name
    return (options.out or Path("runs")) / name


def folders_of(runs: Sequence[Planned], options: argparse.Namespace) -> list[Path]:
    """Return the folder of each of the runs of a command line.

    Raises:
        ZooError: two are the same.
    """
    several = len(runs) > 1 or bool(options.seeds or options.grid or options.shard)
    outs = [folder_of(item, options, several=several) for item in runs]
    twice = {str(out) for out in outs if outs.count(out) > 1}
    if twice:
        raise ZooError(f"several of these recipes would be written to {', '.join(sorted(twice))}; train them apart")
    return outs
