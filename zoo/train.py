"""``python -m zoo.train RECIPE``: train a recipe and write its run folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from zoo import cli


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, train, say where the result is."""
    parser = argparse.ArgumentParser(prog="python -m zoo.train", description="Train a recipe of the autoencoder zoo.")
    parser.add_argument(
        "recipe", help="a recipe's file or an entry's name, as in recipes/vae_linear.json or conv_vae_mnist"
    )
    parser.add_argument("--out", type=Path, help="the run folder to write (default: runs/NAME)")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE",
        help="change a field of the recipe, as in --set training.epochs=3; may be repeated",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of an unfinished run")
    parser.add_argument("--overwrite", action="store_true", help="replace a run that is there already")
    parser.add_argument("--print-recipe", action="store_true", help="print the whole recipe as it would run, and stop")
    parser.add_argument(
        "--dry-run", action="store_true", help="build the model, print sizes, steps and memory, and stop"
    )
    cli.add_common(parser)
    options = parser.parse_args(arguments)

    cli.import_files(options.imports)
    recipe = cli.find_recipe(options.recipe, options.overrides)
    if options.print_recipe:
        print(json.dumps(recipe.to_dict(), indent=2))
        return

    from zoo.devices import choose_device

    device = choose_device(options.device)
    if options.dry_run:
        from zoo.training.dry_run import dry_run

        print(dry_run(recipe, device))
        return

    from zoo.training.run import train

    out = options.out or Path("runs") / recipe.name
    train(recipe, out, device, resume=options.resume, overwrite=options.overwrite)
    folder = out if out.is_absolute() or str(out).startswith(".") else f"./{out}"
    imports = "".join(f" --import {file}" for file in options.imports)
    print(f"{out} is ready: zoo.load({str(folder)!r}), python -m zoo.compare {folder}{imports}")


if __name__ == "__main__":
    cli.run(main)
