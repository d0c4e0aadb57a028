"""The entries of the zoo: its recipes, and which of them come with weights.

Needs only the standard library to list, so that looking around costs no import of torch or pydantic; but for what
:data:`TASKS` ask of checked recipes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UnknownNameError, ZooError
from zoo.extends import resolved
from zoo.registry import DATASETS, VARIANTS

if TYPE_CHECKING:
    from zoo.schema.recipe import Recipe

PACKAGE = Path(__file__).resolve().parent.parent
WEIGHTS = PACKAGE / "weights"


def recipe_folder() -> Path:
    """Return the folder of the recipes: beside the package in a checkout, inside it in an installed wheel."""
    installed = PACKAGE / "recipes"
    return installed if installed.is_dir() else PACKAGE.parent / "recipes"


@cache
def recipe_paths() -> dict[str, Path]:
    """Return the path of each entry's recipe by the entry's name.

    Raises:
        ZooError: a file is no recipe, or two have one name.
    """
    paths: dict[str, Path] = {}
    for path in sorted(recipe_folder().glob("*.json")):
        try:
            name = json.loads(path.read_text(encoding="utf-8"))["name"]
        except (ValueError, KeyError, TypeError) as error:
            raise ZooError(f"{path} is not a recipe ({error}); correct or remove it") from error
        if name in paths:
            raise ZooError(f"{paths[name]} and {path} are both named {name!r}; rename one")
        paths[name] = path
    return paths


def weights_folder(name: str) -> Path | None:
    """Return the run folder that is shipped for an entry, or None."""
    folder = WEIGHTS / name
    return folder if (folder / "model.safetensors").is_file() else None


def pinned(name: str) -> bool:
    """Return whether an entry's recipe pins its weights on the Hub."""
    return bool(json.loads(recipe_paths()[name].read_text(encoding="utf-8")).get("hub"))


def record_folder(name: str) -> Path | None:
    """Return the folder of an entry's ``config.json``, which is there even without its weights, or None."""
    folder = WEIGHTS / name
    return folder if (folder / "config.json").is_file() else None


TASKS: dict[str, tuple[str, Callable[[Recipe], bool]]] = {
    "likelihood": ("codes have a density, so that there is an ELBO", lambda recipe: recipe.model.stochastic),
    "labels": ("images of a label are drawn", lambda recipe: recipe.model.classes > 0),
    "denoising": ("trained to restore what was corrupted", lambda recipe: bool(recipe.objective.corruption)),
}
"""The tasks that only some entries can do: what each means, and a function that tells it from a recipe."""


def list_models(
    pattern: str = "*",
    *,
    weights: bool = False,
    variant: str | None = None,
    data: str | None = None,
    task: str | None = None,
) -> list[str]:
    """List the names of the zoo's entries in natural order.

    >>> import zoo
    >>> zoo.list_models(variant="vq_vae", data="cifar10")
    ['vq_vae_cifar10']

    Args:
        pattern: shell wildcards that a name must match, such as ``"conv*"``.
        weights: list only the entries that ``zoo.load`` can load: their weights are shipped, or pinned on the Hub.
        variant: list only the entries of a variant, one of :func:`zoo.list_variants`.
        data: list only the entries that are trained on a dataset.
        task: list only the entries that are made for a task: ``"likelihood"`` (codes have a density, so that there is
            an ELBO), ``"labels"`` (images of a label are drawn) or ``"denoising"`` (trained to restore what was
            corrupted). Recipes are checked for it, which takes longer: torch is imported.

    Raises:
        UnknownNameError: there is no such variant, dataset or task; shows the close matches.
        ZooError: the pattern is no text.
    """
    if not isinstance(pattern, str):
        raise ZooError(
            f"a pattern is text, such as 'conv*'; got {'None' if pattern is None else type(pattern).__name__}"
        )
    check_filters(variant, data, task)
    names = [name for name in recipe_paths() if fnmatchcase(name, pattern)]
    if variant or data:
        names = [name for name in names if _is_of(fields_of(name), variant, data)]
    if weights:
        names = [name for name in names if weights_folder(name) or pinned(name)]
    if task:
        names = [name for name in names if TASKS[task][1](recipe(name))]
    return sorted(names, key=natural)


def check_filters(variant: str | None, data: str | None, task: str | None) -> None:
    """Refuse names that nothing has.

    Raises:
        UnknownNameError: there is no such variant, dataset or task; shows the close matches.
    """
    asked = (("variant", variant, VARIANTS.names()), ("dataset", data, DATASETS.names()), ("task", task, list(TASKS)))
    for kind, name, known in asked:
        if name is not None and name not in known:
            raise UnknownNameError(kind, name, known)


def fields_of(name: str) -> dict[str, Any]:
    """Return the fields of an entry's recipe as they are written, with those of the recipes that it extends.

    Raises:
        ZooError: a recipe that it extends cannot be read.
    """

    def read(path: Path, what: str) -> dict[str, Any]:
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ZooError(f"cannot read {what} {path}: {error}") from error

    return resolved(recipe_path(name), read)


def _is_of(fields: dict[str, Any], variant: str | None, data: str | None) -> bool:
    """Return whether a recipe's fields name a variant and a dataset; None: any."""
    return variant in (None, fields["model"]["variant"]) and data in (None, fields["data"]["name"])


def shipped_entries(data: str) -> list[str]:
    """List the entries with weights in the package that were trained on a dataset as it is, not binarised."""

    def trained_on(folder: Path) -> dict[str, str]:
        section: dict[str, str] = json.loads((folder / "config.json").read_text(encoding="utf-8"))["recipe"]["data"]
        return section

    sections = {name: trained_on(folder) for name in list_models() if (folder := weights_folder(name))}
    return [
        name
        for name, section in sections.items()
        if section["name"] == data and section.get("binarization", "none") == "none"
    ]


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a sort key that puts ``vae_2d`` before ``vae_10d``."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name) if part]


def recipe_path(name: str) -> Path:
    """Return the path of an entry's recipe.

    Raises:
        UnknownNameError: no entry has this name; shows the close matches.
    """
    if not isinstance(name, str) or name not in recipe_paths():
        same = [entry for entry, path in recipe_paths().items() if path.stem == name]
        raise UnknownNameError("entry", name, same or recipe_paths())
    return recipe_paths()[name]


def is_another(name: str, recipe_of_run: Recipe) -> bool:
    """Return whether a recipe has an entry's name but would train other weights."""
    return name in recipe_paths() and recipe(name).digest() != recipe_of_run.digest()


def recipe(name: str) -> Recipe:
    """Return the recipe of an entry.

    Raises:
        UnknownNameError: no entry has this name; shows the close matches.
    """
    from zoo.schema.recipe import read_recipe

    return read_recipe(recipe_path(name))
