"""What the command lines share: recipes by path or name, users' own files, errors without a traceback."""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.catalog import list_models, recipe_path, recipe_paths
from zoo.errors import ZooError, readable
from zoo.system.files import is_path

if TYPE_CHECKING:
    from zoo.pictures import Batch, Pictures
    from zoo.schema.recipe import Recipe

Main = Callable[[Sequence[str] | None], None]


def run(main: Main) -> None:
    """Call a command's main function and exit: 0 if all went well, 2 after a message for the user, 130 after Ctrl-C."""
    warnings.showwarning = _show_warning
    try:
        main(None)
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or "interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # such as a name that is too long
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {readable(f'{place}{error.strerror or error}')}", file=sys.stderr)
        sys.exit(2)


def _show_warning(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
    print("\n".join(map(readable, f"warning: {message}".split("\n"))), file=sys.stderr)


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that every command has."""
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    add_imports(parser)


def add_model(parser: argparse.ArgumentParser) -> None:
    """What a task is done with."""
    parser.add_argument("model", help="an entry, a run folder (./runs/mine), or hf-hub:owner/name@revision")


def add_model_and_pictures(parser: argparse.ArgumentParser) -> None:
    """What a task is done with, and to."""
    add_model(parser)
    parser.add_argument(
        "pictures", help="a folder (./pictures), or a dataset: mnist (its test images), mnist/train, mnist:9 (a class)"
    )


def check_file(option: str, path: Path, endings: tuple[str, ...]) -> None:
    """Refuse a file that could not be written, before there is anything to write.

    Raises:
        ZooError: its ending is another one, or there is no such folder.
    """
    if path.suffix not in endings or not path.parent.is_dir():
        raise ZooError(f"{option} {path}: expected the name of a {' or '.join(endings)} file in a folder that is there")


def check_range(option: str, value: float, lowest: float, highest: float) -> None:
    """Refuse a number, infinities and NaN among them, that is out of range.

    Raises:
        ZooError: says what the range is.
    """
    if not lowest <= value <= highest:
        raise ZooError(f"{option} {value}: choose between {lowest:,} and {highest:,}")


@contextmanager
def progress(pictures: Pictures) -> Iterator[Pictures]:
    """The same pictures; on a terminal, a bar shows how many a task is done with."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:

        def batches(size: int) -> Iterator[Batch]:
            task = bar.add_task(pictures.name, total=pictures.size)
            for batch in pictures.batches(size):
                yield batch
                bar.advance(task, len(batch.names))

        yield replace(pictures, batches=batches)


def check_apart(option: str, path: Path, pictures: str) -> None:
    """Refuse a picture that would be written among those that are read, and be one of them the next time.

    Raises:
        ZooError: the pictures are those of a folder, and the path is in it.
    """
    folder = Path(pictures).expanduser()
    if is_path(pictures) and folder.is_dir() and path.resolve().is_relative_to(folder.resolve()):
        raise ZooError(f"{option} {path} is among the pictures of {pictures}; choose another place")


def add_hub(parser: argparse.ArgumentParser) -> None:
    """Which Hub; the token is never an argument, where others could see it."""
    parser.add_argument("--endpoint", metavar="URL", help="of the Hub (default: HF_ENDPOINT, or the public one)")


def add_imports(parser: argparse.ArgumentParser) -> None:
    """Users' own variants, objectives and datasets."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE.py",
        help="run this file of yours first: it registers variants, objectives or datasets of your own",
    )


def import_files(files: Sequence[str]) -> None:
    """Run the user's own files, which register what is in them.

    Raises:
        ZooError: there is no such file, or it fails; says in which line.
    """
    for file in files:
        if not Path(file).is_file():
            raise ZooError(f"--import {file}: there is no such Python file")
        try:
            runpy.run_path(file, run_name=Path(file).stem)
        except ZooError:
            raise
        except Exception as error:
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
            place = f", line {lines[-1]}" if lines else ""
            raise ZooError(f"--import {file}{place}: {type(error).__name__}: {error}") from error


def as_path(folder: Path) -> str:
    """As ``zoo.load`` takes a folder: ``./mine``."""
    return str(folder) if folder.is_absolute() or str(folder).startswith(".") else f"./{folder}"


def expand_recipes(sources: Sequence[str], *, everything: bool = False) -> list[str]:
    """Files and names of recipes, where wildcards stand for every entry or file that they fit.

    Raises:
        ZooError: there is nothing to train, or a wildcard fits nothing.
    """
    found = list_models() if everything else []
    for source in sources:
        if not set(source) & set("*?["):
            found.append(source)
            continue
        matches = list_models(source) or sorted(glob(source))
        if not matches:
            raise ZooError(f"no entry and no file fits {source!r}; the entries are {', '.join(list_models())}")
        found += matches
    if not found:
        raise ZooError(f"name a recipe's file or an entry ({', '.join(list_models())}), or use --all")
    return list(dict.fromkeys(found))


def expand_models(sources: Sequence[str]) -> list[str]:
    """Entries with weights and run folders, where wildcards stand for every entry that they fit.

    Raises:
        ZooError: a wildcard fits nothing.
    """
    found: list[str] = []
    for source in sources:
        entry = not is_path(source) and set(source) & set("*?[")
        matches = list_models(source, weights=True) if entry else [source]
        if not matches:
            raise ZooError(f"no entry with weights fits {source!r}; there are {', '.join(list_models(weights=True))}")
        found += matches
    return list(dict.fromkeys(found))


def find_recipe(source: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by its file's path or its entry's name, with overrides.

    Raises:
        ZooError: there is none, or it is wrong.
    """
    from zoo.schema.recipe import read_recipe

    path = Path(source)
    if path.name == source and path.suffix != ".json":
        return read_recipe(recipe_path(source), overrides)
    if not path.is_file():
        same = [name for name, shipped in recipe_paths().items() if path.stem in (name, shipped.stem)]
        hint = f"; did you mean the entry {same[0]!r}?" if same else ""
        raise ZooError(f"there is no recipe {source}{hint}")
    return read_recipe(path, overrides)
