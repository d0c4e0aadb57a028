"""``python -m zoo.train RECIPE ...``: train recipes and write their run folders."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import cli
from zoo.errors import ZooError

if TYPE_CHECKING:
    import torch

    from zoo.schema.recipe import Recipe

SWITCHES = ("precision", "compile", "graph")
"""Fields of the recipe's section ``execution`` that are options of the command line as well."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, train, say where the results are."""
    options = parser().parse_args(arguments)
    cli.import_files(options.imports)
    recipes = [
        cli.find_recipe(source, [*switches(options), *options.overrides, *seed])
        for source in cli.expand_recipes(options.recipes, everything=options.all)
        for seed in [[f"training.seed={seed}"] for seed in options.seeds] or [[]]
    ]
    if options.print_recipe:
        print("\n".join(json.dumps(recipe.to_dict(), indent=2) for recipe in recipes))
        return

    from zoo.system.devices import choose_device
    from zoo.training.distributed import local_device

    device = choose_device(local_device(options.device))
    if options.dry_run:
        from zoo.training.dry_run import dry_run

        print("\n\n".join(dry_run(recipe, device) for recipe in recipes))
        return

    if len(recipes) == 1:
        train_one(recipes[0], options, device)
    else:
        train_several(recipes, options, device)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m zoo.train", description="Train recipes of the autoencoder zoo.")
    made.add_argument(
        "recipes", nargs="*", metavar="RECIPE",
        help="a recipe's file or an entry's name, as in recipes/vae_linear.json, conv_vae_mnist or 'conv*'",
    )  # fmt: skip
    made.add_argument("--all", action="store_true", help="every entry of the zoo")
    made.add_argument(
        "--seeds", type=seeds, default=[], metavar="0-9", help="train with each of these seeds: 0-9 or 0,2,5"
    )
    made.add_argument(
        "--out", type=Path, help="the run folder to write (default: runs/NAME); for several, the folder they go into"
    )
    made.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE",
        help="change a field of the recipe, as in --set training.epochs=3; may be repeated",
    )  # fmt: skip
    made.add_argument("--precision", choices=("fp32", "tf32", "bf16"), help="of matrix products and convolutions")
    made.add_argument("--compile", choices=("auto", "on", "off"), help="whether the whole step is compiled")
    made.add_argument("--graph", choices=("on", "off"), help="whether steps are captured as CUDA graphs")
    made.add_argument(
        "--at-once", type=positive, default=0, metavar="N", help="train at most N at a time on one GPU (default: 8)"
    )
    made.add_argument("--resume", action="store_true", help="go on from the last checkpoint of unfinished runs")
    made.add_argument("--overwrite", action="store_true", help="replace runs that are there already")
    made.add_argument("--print-recipe", action="store_true", help="print the whole recipe as it would run, and stop")
    made.add_argument("--dry-run", action="store_true", help="build the model, print sizes, steps and memory, and stop")
    cli.add_common(made)
    return made


def seeds(text: str) -> list[int]:
    """``0-9`` or ``0,2,5`` → the numbers."""
    from zoo.schema.parsing import whole_numbers

    try:
        return whole_numbers(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected seeds as in 0-9 or 0,2,5, got {text!r}") from error


def positive(text: str) -> int:
    """A number above 0."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return int(text)


def switches(options: argparse.Namespace) -> list[str]:
    """The switches as overrides of the recipe."""
    return [f"execution.{name}={getattr(options, name)}" for name in SWITCHES if getattr(options, name)]


def train_one(recipe: Recipe, options: argparse.Namespace, device: torch.device) -> None:
    """One run, perhaps in several processes."""
    from zoo.training.distributed import joined
    from zoo.training.run import train

    out = folder_of(recipe, options, several=bool(options.seeds))
    with joined(device) as world:
        train(recipe, out, device, resume=options.resume, overwrite=options.overwrite, world=world)
    if world.rank == 0:
        shown = out if out.is_absolute() or str(out).startswith(".") else f"./{out}"
        imports = "".join(f" --import {file}" for file in options.imports)
        print(f"{out} is ready: zoo.load({str(shown)!r}), python -m zoo.compare {shown}{imports}")


def train_several(recipes: Sequence[Recipe], options: argparse.Namespace, device: torch.device) -> None:
    """Several runs on one device."""
    from zoo.training.distributed import launched
    from zoo.training.together import Job, train_together

    if launched():
        raise ZooError("torchrun trains one recipe in several processes; for several recipes leave it away")
    outs = [folder_of(recipe, options, several=True) for recipe in recipes]
    twice = {str(out) for out in outs if outs.count(out) > 1}
    if twice:
        raise ZooError(f"several of these recipes would be written to {', '.join(sorted(twice))}; train them apart")
    jobs = [Job(recipe, out, options.resume, options.overwrite) for recipe, out in zip(recipes, outs, strict=True)]
    failed = train_together(jobs, device, at_once=options.at_once)
    print(f"{len(jobs) - len(failed)} of {len(jobs)} runs are ready in {outs[0].parent}")
    if failed:
        raise ZooError("\n".join(f"{out} failed: {reason}" for out, reason in failed.items()))


def folder_of(recipe: Recipe, options: argparse.Namespace, several: bool) -> Path:
    """Where a run is written."""
    if options.out and not several:
        return Path(options.out)
    name = f"{recipe.name}-seed{recipe.training.seed}" if options.seeds else recipe.name
    return (options.out or Path("runs")) / name


if __name__ == "__main__":
    cli.run(main)
