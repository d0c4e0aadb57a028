"""``zoo push RUN_FOLDER owner/name``: put a trained model on the Hub."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from zoo.cli._common import add_imports, add_json, add_options_of, values_of
from zoo.cli._output import say, say_json
from zoo.entries.catalog import is_another
from zoo.errors import ZooError
from zoo.hub import Plan, push
from zoo.runs.folder import FIGURE_FILES, read_config
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", type=user_path, help="what training wrote, such as runs/mine")
    parser.add_argument("repository", help="owner/name; it is made if there is none")
    add_options_of(
        parser, push, skip=["token", "drawn", "on_plan"]
    )  # a token is not an argument, because others could see it
    add_json(parser)
    add_imports(parser)


def run(options: argparse.Namespace) -> None:
    """Push, and say where it is and how it is loaded."""
    out = sys.stdout if options.dry_run and not options.json else sys.stderr
    plans: list[Plan] = []

    def on_plan(plan: Plan) -> None:
        plans.append(plan)
        show(plan, out)
        if note := note_on_name(options.folder):
            say(f"  note: {note}", out)

    try:
        pushed = push(**values_of(options, push), drawn=figures_for(options.folder), on_plan=on_plan)
    except KeyboardInterrupt as error:
        where = f"{plans[0].endpoint}/{options.repository}" if plans else options.repository
        raise KeyboardInterrupt(f"interrupted; what was sent may have arrived: look at {where}") from error
    plan = {**asdict(pushed.plan), "address": str(pushed.plan.address)}
    if options.dry_run:
        if options.json:
            say_json(plan)
        return
    assert pushed.pin is not None  # only a dry run has none
    if options.json:
        record = {"plan": plan, "address": str(pushed.address), "pin": pushed.pin.model_dump()}
        say_json(asdict(pushed) | record)
        return
    say(f"pushed: {pushed.commit_url}" if pushed.changed else f"nothing has changed since {pushed.commit_url}")
    if pushed.pull_request:
        say(f"pull request: {pushed.pull_request}")
    if options.tag:
        say(f"tag: {options.tag}")
    say(f'load it: zoo.load("{pushed.address}")')
    say(f'pin it, in a recipe: "hub": {pushed.pin.model_dump_json()}')


def figures_for(folder: Path) -> dict[str, bytes]:
    """Draw the figures that a training writes, for a folder that has none, as far as the images are here.

    Nothing is drawn of images of the user's own: a folder without figures may be one whose author removed them. What is
    wrong with a folder, the push says.
    """
    from zoo.entries.trained_model import TrainedModel
    from zoo.figures import FigureContext, draw
    from zoo.plotting import to_png

    drawn: dict[str, bytes] = {}
    if any(os.path.lexists(folder / name) for name in FIGURE_FILES):
        return drawn
    trained = TrainedModel(folder)
    for name in FIGURE_FILES:
        with suppress(ZooError):  # the dataset is not here, or the folder no whole run folder
            if not trained.config.checked_recipe.data.private:
                drawn[name] = to_png(draw(Path(name).stem, FigureContext(trained)))
    return drawn


def note_on_name(folder: Path) -> str:
    """Say that readers may take a run for an entry of the zoo, where it has the name of one but another recipe."""
    config = read_config(folder)
    if not is_another(config.name, config.checked_recipe):
        return ""
    return (
        f"the zoo's own {config.name} has another recipe, and readers may take this for it; `--set name=...` gives the "
        f"next training another name"
    )


def show(plan: Plan, out: TextIO) -> None:
    """Print what a push would do."""
    kind = {True: "private", False: "public", None: "public, unless its owner's are private"}[plan.private]
    kind = f"new, {kind}" if plan.new else kind
    say(f"{plan.address.repository} on {plan.endpoint} ({kind}), branch {plan.address.revision}", out)
    for name, size in plan.files.items():
        say(f"  {name:<24} {size:>13,} bytes", out)
    for name in plan.unchanged:
        say(f"  {name:<24} unchanged", out)
    for name in plan.removed:
        say(f"  {name:<24} removed, of an earlier run", out)
    for note in plan.notes:
        say(f"  note: {note}", out)
