"""``zoo tune RECIPE --search FILE``: search for the settings that are best on validation images."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from zoo.cli._common import add_common, find_recipe, loadable
from zoo.cli._output import print_table, say
from zoo.cli._places import prepare
from zoo.errors import ZooError
from zoo.system.files import user_path

MAX_TRIALS = 100_000
"""The most trials of a study."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe's file, an entry's name or a run folder")
    parser.add_argument(
        "--search", type=user_path, required=True, metavar="FILE.json",
        help='the fields to search, as in {"optimizer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": true}, '
        '"model.latent_dim": {"choices": [8, 16]}}',
    )  # fmt: skip
    parser.add_argument(
        "--metric", required=True,
        help="the metric that trials are chosen by, as in negative_elbo, measured on validation images",
    )  # fmt: skip
    parser.add_argument(
        "--trials", type=number_of_trials, default=50, metavar="N",
        help="train until the study has N trials, those of other processes included (default: 50)",
    )  # fmt: skip
    parser.add_argument(
        "--storage", default="", metavar="URL",
        help="the study, as Optuna addresses it, for several machines (default: a file in the folder --out)",
    )  # fmt: skip
    parser.add_argument("--study", help="the name of the study and of its runs (default: the recipe's)")
    parser.add_argument("--out", type=user_path, help="the folder of the runs (default: runs/STUDY-study)")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE",
        help="change a field of the recipe in all trials, as in --set training.validation=0.1; may be repeated",
    )  # fmt: skip
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Search, print the trials, and say where the best recipe is."""
    from zoo.schema.base import NAME
    from zoo.schema.metric import metric_of
    from zoo.schema.search_space import read_space
    from zoo.system.devices import choose_device
    from zoo.training.distributed import launched
    from zoo.training.search import Search, with_settings
    from zoo.training.tuning import tune

    if launched():
        raise ZooError("torchrun trains one recipe in several processes; drop it for zoo tune")
    recipe = find_recipe(options.recipe, options.overrides)
    name = options.study or recipe.name
    if not re.fullmatch(NAME, f"{name}_trial_{options.trials}"):
        raise ZooError(f"--study {name}: expected lower-case letters, digits and _, and some 50 characters at most")
    if options.storage and "://" not in options.storage:
        raise ZooError(f"--storage {options.storage}: expected an address of Optuna's, as in sqlite:///study.db")
    metric = metric_of(options.metric)

    def takes(setting: str) -> None:
        field, _, value = setting.partition("=")
        with_settings(recipe, {field: value}, "trial", "")

    space = read_space(options.search, takes)
    out = options.out or Path("runs") / f"{name}-study"
    search = Search(recipe, space, metric, name, out)
    device = choose_device(options.device)
    prepare("--out", out, files=False)
    summary = tune(search, options.trials, device, options.storage, say=say)
    first = summary.ranked[0]
    words = f"The best of {len(summary.ranked)} trials from {recipe.name}, by {metric.name} on validation images"
    best = with_settings(recipe, first.settings, f"{name}_best", words)
    files = summary.write(out, best)
    print_table(summary.table())
    say(f"wrote {', '.join(map(str, files))}")
    folder = out / search.trial_name(first.number)
    if folder.is_dir():
        say(f"the best is trained: {loadable(folder)}")
    else:
        say(f"the best was trained elsewhere, with another --out; here: zoo train {files[-1]}")


def number_of_trials(text: str) -> int:
    """Parse a number of trials."""
    if not text.isdecimal() or not 1 <= int(text) <= MAX_TRIALS:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MAX_TRIALS:,}, got {text[:40]!r}")
    return int(text)
