"""Code that the verbs share: groups of options, checks of their values, recipes by path or name, users' own files."""

from __future__ import annotations

import argparse
import inspect
import math
import re
import runpy
import sys
import traceback
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.entries.catalog import list_models, natural, recipe_path, recipe_paths
from zoo.errors import ZooError, closest, escaped
from zoo.system.files import is_path, user_path

if TYPE_CHECKING:  # they import torch
    from rich.progress import Progress

    from zoo.inference.image_batches import ImageBatch, ImageStream
    from zoo.schema.recipe import Recipe

CHANGED = "_changed"
"""The end of the name of a recipe that is an entry's but for its images or its model."""

MOST_LISTED = 20
"""The most recipe files that a message lists."""

MODELS_HELP = "entries (wildcards allowed), run folders (./runs/x), hf-hub:owner/name"


def add_common(parser: argparse.ArgumentParser) -> None:
    """Declare the options that most verbs have."""
    parser.add_argument("--device", default="auto", help="compute on auto (default), cpu, cuda, cuda:N or mps")
    add_imports(parser)


def add_imports(parser: argparse.ArgumentParser) -> None:
    """Declare the option for users' own variants, objectives and datasets."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE.py",
        help="run this file of yours first: it registers variants, objectives or datasets of your own",
    )


def add_json(parser: argparse.ArgumentParser, instead_of: str = "") -> None:
    """Declare the option for output that programs read."""
    parser.add_argument("--json", action="store_true", help=f"print JSON instead{instead_of}")


def add_data(parser: argparse.ArgumentParser, default: str = "what the model was trained on") -> None:
    """Declare the option for other images than those that a model was trained on, or the same ones elsewhere."""
    parser.add_argument(
        "--data", help=f"a dataset, or images: a folder (./images), a zip, a quoted pattern (default: {default})"
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare the model that a task is done with."""
    parser.add_argument("model", help="an entry, a run folder (./runs/mine), or hf-hub:owner/name@revision")


def add_model_and_images(parser: argparse.ArgumentParser) -> None:
    """Declare the model that a task is done with, and the images that it is done to."""
    add_model(parser)
    parser.add_argument(
        "images",
        help="a folder (./images), a zip, an image file or a quoted pattern ('./images/*.png'), or a dataset: mnist "
        "(its test images), mnist/train, mnist:9 (a class)",
    )
    parser.add_argument(
        "--range",
        type=two_numbers,
        metavar="LOW,HIGH",
        help="the values that become black and white in image files of more than 8 bits, as --range=0,4095 (default: "
        "those of the model's recipe, or else 0,65535; 0,1 for floats)",
    )


def two_numbers(text: str) -> tuple[float, float]:
    """Parse two numbers with a comma between them, the second larger."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise argparse.ArgumentTypeError(f"expected two numbers, as 0,4095, the second larger; got {text!r}")
    return low, high


def add_options_of(parser: argparse.ArgumentParser, function: Callable[..., Any], *, skip: Sequence[str] = ()) -> None:
    """Declare an option for each keyword argument of a function, with the words of its docstring.

    A switch is a ``bool`` that is False by default; everything else takes a value of its annotated type.
    """
    words = _documented(function)
    types = typing.get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY or name in skip:
            continue
        option, help = f"--{name.replace('_', '-')}", words.get(name)  # python -OO keeps no docstrings
        if types[name] is bool:
            parser.add_argument(option, action="store_true", help=help)
        else:
            kinds = [kind for kind in (typing.get_args(types[name]) or (types[name],)) if kind is not type(None)]
            parser.add_argument(option, type=kinds[0], default=parameter.default, help=help, metavar=name.upper())


def values_of(options: argparse.Namespace, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the values of the options that :func:`add_options_of` has declared, as keyword arguments."""
    names = inspect.signature(function).parameters
    return {name: value for name, value in vars(options).items() if name in names}


def _documented(function: Callable[..., Any]) -> dict[str, str]:
    """Return the words about each argument in a docstring."""
    block = (inspect.getdoc(function) or "").partition("Args:\n")[2].partition("\n\n")[0]
    parts = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", block, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text).replace("``", "").rstrip(".") for name, text in parts}


def check_range(option: str, value: float, lowest: float, highest: float) -> None:
    """Refuse a number, infinities and NaN among them, that is out of range.

    Raises:
        ZooError: says what the range is.
    """
    if not lowest <= value <= highest:
        raise ZooError(f"{option} {value}: choose between {lowest:,} and {highest:,}")


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Show bars on a terminal only; they go away at the end, so that what is printed stands alone."""
    from zoo.system.terminal import bars_on_stderr

    with bars_on_stderr(shown=sys.stderr.isatty()) as bars:
        yield bars


@contextmanager
def progress(images: ImageStream) -> Iterator[ImageStream]:
    """Yield the same images; on a terminal, a bar shows how many a task is done with."""
    with progress_bars() as bars:

        def batches(size: int) -> Iterator[ImageBatch]:
            task = bars.add_task(escaped(images.name), total=images.size)
            for batch in images.batches(size):
                yield batch
                bars.advance(task, len(batch.names))

        yield replace(images, batches=batches)


def import_files(files: Sequence[str]) -> None:
    """Run the user's own files, which register what is in them.

    Raises:
        ZooError: there is no such file, or it fails; says in which line.
    """
    for file in map(str, map(user_path, files)):
        if not Path(file).is_file():
            raise ZooError(f"--import {file}: there is no such Python file")
        folder = str(Path(file).resolve().parent)  # as if the file were run: it finds what lies beside it
        if folder not in sys.path:
            sys.path.insert(0, folder)
        try:
            runpy.run_path(file, run_name=Path(file).stem)
        except ZooError:
            raise
        except Exception as error:
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
            place = f", line {lines[-1]}" if lines else ""
            raise ZooError(f"--import {file}{place}: {type(error).__name__}: {error}") from error


def loadable(folder: Path) -> str:
    """Write a folder as ``zoo.load`` takes it: ``./mine``."""
    return str(folder) if is_path(str(folder)) else f"./{folder}"


def expand_recipes(sources: Sequence[str], *, everything: bool = False) -> list[str]:
    """Return files and names of recipes, where wildcards stand for every entry or file that they fit.

    Raises:
        ZooError: there is nothing to train, or a wildcard fits nothing.
    """
    expanded = list_models() if everything else []
    for source in sources:
        if not set(source) & set("*?["):
            expanded.append(source)
            continue
        matches = list_models(source) or sorted(glob(str(user_path(source))))
        if not matches:
            raise ZooError(f"no entry and no file fits {source!r}; the entries are {', '.join(list_models())}")
        expanded += matches
    if not expanded:
        raise ZooError(f"name a recipe's file or an entry ({', '.join(list_models())}), or use --all")
    return list(dict.fromkeys(expanded))


def expand_models(sources: Sequence[str]) -> list[str]:
    """Return entries with weights and run folders, where wildcards stand for every entry that they fit.

    Raises:
        ZooError: a wildcard fits nothing.
    """
    expanded: list[str] = []
    for source in sources:
        entry = not is_path(source) and set(source) & set("*?[")
        matches = list_models(source, weights=True) if entry else [source]
        if not matches:
            raise ZooError(f"no entry with weights fits {source!r}; there are {', '.join(list_models(weights=True))}")
        expanded += matches
    return list(dict.fromkeys(expanded))


def with_runs_of_folders(sources: Sequence[str]) -> list[str]:
    """Return models, where a folder that is no run stands for the finished runs in it, in natural order."""
    expanded: list[str] = []
    for source in sources:
        folder = user_path(source)
        inside = folder.iterdir() if is_path(source) and folder.is_dir() and not is_run(folder) else ()
        runs = [path for path in inside if (path / "config.json").is_file() and path.suffix != ".partial"]
        expanded += [loadable(path) for path in sorted(runs, key=lambda path: natural(path.name))] or [source]
    return list(dict.fromkeys(expanded))


def find_recipe(source: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return a recipe by its file's path or its entry's name, with overrides.

    An override of an entry's images or model makes another model, which does not keep the entry's name.

    Raises:
        ZooError: there is none, or it is wrong.
    """
    from zoo.schema.recipe import read_recipe

    path = user_path(source)
    if path.name == source and path.suffix != ".json":
        path = recipe_path(source)
    elif path.is_dir() and is_run(path):
        return recipe_of_run(path, overrides)
    elif not path.exists() or path.is_dir():  # a pipe is read, too: <(jq ... r.json), /dev/stdin
        raise ZooError(f"there is no recipe {source}{_recipes_like(path)}")
    recipe = read_recipe(path, overrides)
    if becomes_another(recipe.name, overrides):
        return recipe.model_copy(update={"name": f"{recipe.name}{CHANGED}"})
    return recipe


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run folder, or that of an unfinished run."""
    return any((folder / name).exists() for name in ("config.json", "checkpoint.safetensors"))


def recipe_of_run(folder: Path, overrides: Sequence[str]) -> Recipe:
    """Return the recipe of a finished or unfinished run, without the step that it ended at before its end.

    Raises:
        ZooError: a file of the run is damaged, or the recipe with the overrides is wrong.
    """
    from zoo.runs.folder import CONFIG_FILE, read_config
    from zoo.schema.recipe import parse_recipe
    from zoo.training.checkpoint import last_state

    fields = read_config(folder).recipe if (folder / CONFIG_FILE).exists() else last_state(folder)["recipe"]
    fields = {name: value for name, value in fields.items() if name != "claims" or not overrides}
    fields["training"] = {name: value for name, value in fields["training"].items() if name != "steps"}
    return parse_recipe(fields, f"the recipe of {folder}", overrides)


def becomes_another(name: str, overrides: Sequence[str]) -> bool:
    """Return whether overrides make another model of an entry, and do not say what it is called."""
    from zoo.schema.recipe import changes_of_model

    named = any(override.startswith("name=") for override in overrides)
    return name in recipe_paths() and bool(changes_of_model(overrides)) and not named


def _recipes_like(path: Path) -> str:
    """Return the tail of a message: the files and the entries whose names are like that of a file that is not there."""
    entries = {stem: f"the entry {name!r}" for name, file in recipe_paths().items() for stem in (name, file.stem)}
    files = {file.stem: repr(str(file)) for file in sorted(path.parent.glob("*.json"))}
    close = closest(path.stem, files), [path.stem] if path.stem in entries else closest(path.stem, entries)
    like = [known[stem] for known, stems in zip((files, entries), close, strict=True) for stem in stems]
    if like:
        return f"; did you mean {' or '.join(list(dict.fromkeys(like))[:3])}?"
    more = ", …" if len(files) > MOST_LISTED else ""
    return f"; there are {', '.join(list(files.values())[:MOST_LISTED])}{more}" if files else ""
