"""``zoo convert FILE --recipe R``: bring weights that were trained elsewhere into a run folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli._common import CHANGED, add_common, find_recipe, loadable
from zoo.cli._output import say
from zoo.cli._places import prepare
from zoo.entries.catalog import recipe_paths
from zoo.system.files import user_path

if TYPE_CHECKING:
    from zoo.schema.recipe import Recipe

CONVERTED = "_converted"
"""The end of the name of a model with an entry's recipe and weights from elsewhere."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=user_path, help="the weights, a .safetensors file")
    parser.add_argument(
        "--recipe", required=True, metavar="RECIPE",
        help="the model that they belong to, and its images: a recipe's file, an entry's name or a run folder",
    )  # fmt: skip
    parser.add_argument(
        "--map", dest="rules", action="append", default=[], metavar="OLD=NEW",
        help="the model's name of a tensor, as in 'fc1.*=encoder.0.*'; nothing after = leaves it out; may be repeated, "
        "or a .json file of such names",
    )  # fmt: skip
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE",
        help="change a field of the recipe, as in --set model.latent_dim=16; may be repeated",
    )  # fmt: skip
    parser.add_argument("--out", type=user_path, help="the run folder to write (default: runs/NAME)")
    parser.add_argument("--partial", action="store_true", help="give tensors that the file lacks initial weights")
    parser.add_argument("--overwrite", action="store_true", help="replace a run that is there already")
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Convert, measure, and say where the run folder is."""
    from zoo.system.devices import choose_device
    from zoo.training.conversion import check_file, convert
    from zoo.training.tensor_names import parse_rules

    check_file(options.file)  # before anything is said of what it becomes
    recipe = recipe_of_foreign(options.recipe, options.overrides)
    out = options.out or Path("runs") / recipe.name
    rules = parse_rules(options.rules)
    device = choose_device(options.device)
    prepare("--out", out.parent, files=False)
    convert(options.file, recipe, out, device, rules, partial=options.partial, overwrite=options.overwrite, say=say)
    say(f"{out} is ready: zoo.load({loadable(out)!r}), zoo evaluate {loadable(out)}")


WORDS = ("name=", "summary=", "source.", "source=", "claims=")
"""The beginnings of settings that say something of the converted weights, not of those that the recipe was of."""


def recipe_of_foreign(source: str, overrides: list[str]) -> Recipe:
    """Return a recipe without what it says of other weights than those that are converted.

    Those are the claims; of an entry also its name, its words and its origin.

    Raises:
        ZooError: there is none, or it is wrong.
    """
    from zoo.schema.recipe import parse_recipe

    words = [override for override in overrides if override.startswith(WORDS)]
    recipe = find_recipe(source, [override for override in overrides if override not in words])
    fields = recipe.to_dict()
    del fields["claims"]
    entry = recipe.name.removesuffix(CHANGED)
    if entry in recipe_paths():
        fields |= {"name": f"{recipe.name}{CONVERTED}", "source": {}}
        fields["summary"] = f"Weights that were trained elsewhere, in the model of {entry}"
        if not any(word.startswith("name=") for word in words):
            say(f"{entry} with these weights is called {fields['name']}; --set name=mine calls it otherwise")
    return parse_recipe(fields, f"the recipe {source}", words)
