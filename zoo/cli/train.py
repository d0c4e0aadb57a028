"""``zoo train RECIPE ...``: train recipes and write their run folders."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli._common import CHANGED, add_common, becomes_another, is_run, loadable
from zoo.cli._output import is_first_process, print_table, say, say_lines
from zoo.cli._places import prepare
from zoo.cli._plan import Planned, axis, folders_of, part_of, plan, shard
from zoo.errors import ZooError
from zoo.imports import importing
from zoo.system.cores import wait_passively_if_busy
from zoo.system.files import user_path

if TYPE_CHECKING:
    import torch

    from zoo.schema.recipe import Recipe

MAX_SEEDS = 1000
"""The most seeds of one command."""

SWITCHES = ("precision", "compile", "graph", "stack")
"""The fields of the recipe's section ``execution`` that are options of the command line as well."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "recipes", nargs="*", metavar="RECIPE",
        help="a recipe's file, an entry's name or a run folder, as in recipes/vae_linear.json, 'conv*' or ./runs/mine",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="train every entry of the zoo")
    parser.add_argument(
        "--seeds", type=seeds, default=[], metavar="0-9", help="train with each of these seeds: 0-9 or 0,2,5"
    )
    parser.add_argument(
        "--grid", type=axis, action="append", default=[], metavar="FIELD=VALUE,VALUE",
        help="train with each of these values, as in --grid objective.beta=1,2,4; of several, every combination",
    )  # fmt: skip
    parser.add_argument(
        "--shard", type=shard, metavar="PART/PARTS",
        help="train one part of the runs, as in --shard 3/16, as a job of an array does",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=user_path,
        help="the run folder to write (default: runs/NAME); for several, the folder they go into",
    )  # fmt: skip
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE",
        help="change a field of the recipe, as in --set training.epochs=3; may be repeated",
    )  # fmt: skip
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), help="precision of products and convolutions")
    parser.add_argument("--compile", choices=("auto", "on", "off"), help="whether the whole step is compiled")
    parser.add_argument("--graph", choices=("on", "off"), help="whether steps are captured as CUDA graphs")
    parser.add_argument("--stack", choices=("auto", "on", "off"), help="several seeds trained as one model")
    parser.add_argument(
        "--at-once", type=positive, default=0, metavar="N", help="train at most N at a time on one GPU (default: 8)"
    )
    parser.add_argument(
        "--log", action="append", default=[], metavar="LOGGER",
        help="show the run while it trains: tensorboard, trackio, wandb or one of your own; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--resume", action="store_true", help="go on with unfinished runs, and with finished ones for more epochs"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace runs that are there already")
    parser.add_argument("--print-recipe", action="store_true", help="print the whole recipe as it would run, and stop")
    parser.add_argument(
        "--dry-run", action="store_true", help="build the model, print sizes, steps and memory, and stop"
    )
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Train, and say where the results are."""
    overrides = [*switches(options), *options.overrides, *(f"training.seed={seed}" for seed in options.seeds[:1])]
    if options.resume and not options.out:
        options.out = home_of(options)
    if not (options.print_recipe or options.dry_run):
        if is_first_process():
            from zoo.system import beside

            beside.start(_imported, _drawn)
        if options.resume:  # with as many threads as before; planning imports torch
            wait_passively_if_busy()
    runs = plan(options, overrides)
    mine = part_of(runs, options.shard)
    recipes = [item.recipe for item in mine]
    if not mine:
        say(f"--shard {'/'.join(map(str, options.shard))}: none of the {len(runs)} runs is in this part")
        return
    if options.print_recipe:
        import json

        for recipe in recipes:
            say_lines(json.dumps(recipe.to_dict(), indent=2))
        return

    with importing():
        from zoo.training.resumed_device import device_to_resume

    outs = [] if options.dry_run else folders_of(runs, options)
    device = device_to_resume(options.device, part_of(outs, options.shard) if options.resume else [])
    if options.dry_run:
        from zoo.training.dry_run import dry_run

        first_seeds = {recipe.name: recipe for recipe in reversed(recipes)}  # the others have the same sizes
        say_lines("\n\n".join(dry_run(recipe, device) for recipe in reversed(first_seeds.values())))
        return
    if options.out:
        prepare("--out", outs[0].parent, files=False)
    for name in dict.fromkeys(recipe.name for recipe in recipes):
        entry = name.removesuffix(CHANGED)
        if entry != name and becomes_another(entry, options.overrides) and is_first_process():
            say(f"{entry} with these --set is another model, called {name}; --set name=mine calls it otherwise")
    if options.log:
        from zoo.training.run_log import check_loggers

        check_loggers(options.log)
    every = dict(zip(outs, runs, strict=True))
    if len(recipes) == 1:
        (out,) = part_of(outs, options.shard)
        train_one(recipes[0], out, options, device)
        failed: dict[Path, str] = {}
    else:
        failed = train_several(recipes, part_of(outs, options.shard), options, device)
    if len(runs) > 1 and is_first_process():
        sum_up({out: item for out, item in every.items() if out not in failed}, part_of(outs, options.shard), options)
    if len(recipes) > 1:
        say(f"{len(recipes) - len(failed)} of {len(recipes)} runs are ready in {outs[0].parent}")
    if failed:
        raise ZooError("\n".join(f"{out} failed: {reason}" for out, reason in failed.items()))


def _imported() -> None:
    import zoo.plotting.files  # noqa: F401 - in the process that draws: beside torch in this one


def _drawn(figures: Any) -> dict[str, bytes]:
    from zoo.plotting.files import drawn

    return drawn(figures)


def home_of(options: argparse.Namespace) -> Path | None:
    """Return the run folder that is to go on, if one is named instead of a recipe.

    Raises:
        ZooError: it is named among others.
    """
    homes = [path for path in map(user_path, options.recipes) if path.is_dir() and is_run(path)]
    if not homes:
        return None
    if len(options.recipes) > 1 or options.all or options.seeds or options.grid or options.shard:
        several = "without --seeds, --grid and --shard"
        raise ZooError(f"{homes[0]} is a run folder, which goes on by itself: name it alone, {several}")
    from zoo.runs.unfinished import finished_folder

    return finished_folder(homes[0])


def instead_of(option: str, value: str) -> list[str]:
    """Return the ways to set the fields of a recipe that an unknown option is called like."""
    from zoo.registry import DATASETS, OBJECTIVES, OPTIMIZERS, VARIANTS, Registry
    from zoo.schema.sections import Execution, Training

    axes: dict[str, Registry[Any]] = {
        "model": VARIANTS,
        "optimizer": OPTIMIZERS,
        "objective": OBJECTIVES,
        "data": DATASETS,
    }
    configs: dict[str, list[type[Any]]] = {"training": [Training], "execution": [Execution]}
    configs |= {section: [item.config for item in axis.items().values()] for section, axis in axes.items()}
    name = option.lstrip("-").replace("-", "_")
    value = "…" if not value or value.startswith("-") else value
    sections = [section for section, kinds in configs.items() if any(name in kind.model_fields for kind in kinds)]
    return [f"--set {section}.{name}={value}" for section in sections]


def seeds(text: str) -> list[int]:
    """Parse ``0-9`` or ``0,2,5``."""
    from zoo.schema.parsing import whole_numbers

    try:
        return whole_numbers(text, MAX_SEEDS)
    except ValueError as error:
        found = text if len(text) <= 40 else f"{text[:40]}..."
        expected = f"expected at most {MAX_SEEDS:,} seeds as in 0-9 or 0,2,5"
        raise argparse.ArgumentTypeError(f"{expected}, got {found!r}") from error


def positive(text: str) -> int:
    """Parse a number above 0."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return int(text)


def switches(options: argparse.Namespace) -> list[str]:
    """Return the switches as overrides of the recipe."""
    return [f"execution.{name}={getattr(options, name)}" for name in SWITCHES if getattr(options, name)]


def train_one(recipe: Recipe, out: Path, options: argparse.Namespace, device: torch.device) -> None:
    """Train one run, perhaps in several processes."""
    from zoo.training.distributed import joined
    from zoo.training.run import train

    with joined(device) as group:
        train(recipe, out, device, resume=options.resume, overwrite=options.overwrite, group=group, log=options.log)
    if group.rank == 0:
        imports = "".join(f" --import {file}" for file in options.imports)
        say(f"{out} is ready: zoo.load({loadable(out)!r}), zoo compare {loadable(out)}{imports}")


def train_several(
    recipes: Sequence[Recipe], outs: Sequence[Path], options: argparse.Namespace, device: torch.device
) -> dict[Path, str]:
    """Train several runs on one device; return those that failed, each with the reason."""
    from zoo.training.distributed import launched
    from zoo.training.multi_run import Run, train_many

    if launched():
        raise ZooError("torchrun trains one recipe in several processes; drop it for several recipes")
    log = tuple(options.log)
    runs = [Run(recipe, out, options.resume, options.overwrite, log) for recipe, out in zip(recipes, outs, strict=True)]
    return train_many(runs, device, max_concurrent=options.at_once)


def sum_up(runs: Mapping[Path, Planned], mine: Collection[Path], options: argparse.Namespace) -> None:
    """Write and print a summary of the runs that are ready: of each grid, or of each recipe with several seeds.

    Args:
        runs: the runs of the command line by their folders, but for those that failed.
        mine: the folders of those that this process has trained; another may have trained the others, or not yet.
        options: the options.
    """
    from zoo.training.grid_summary import GridSummary
    from zoo.training.run import is_ready
    from zoo.training.seed_summary import SeedSummary

    ready = {out: item for out, item in runs.items() if out in mine or is_ready(item.recipe, out)}
    for base in dict.fromkeys(item.base for item in ready.values()):
        places = [out for out, item in ready.items() if item.base == base]
        if len(places) < 2:
            continue
        summary: GridSummary | SeedSummary
        if options.grid:
            by_point: dict[tuple[str, ...], list[Path]] = {}
            for out in places:
                by_point.setdefault(ready[out].point, []).append(out)
            summary = GridSummary.read(base, options.grid, by_point)
        else:
            summary = SeedSummary.read(places)
        files = summary.write()
        print_table(summary.table())
        say(f"wrote {' and '.join(map(str, files))}")
