"""``zoo push RUN_FOLDER owner/name``: put a trained model on the Hub."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from zoo.cli._common import add_imports, add_json, add_options_of, values_of
from zoo.hub import Plan, push


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", type=Path, help="what training wrote, such as runs/mine")
    parser.add_argument("repository", help="owner/name; it is made if there is none")
    add_options_of(parser, push, skip=["token", "on_plan"])  # a token is not an argument, because others could see it
    add_json(parser)
    add_imports(parser)


def run(options: argparse.Namespace) -> None:
    """Push, and say where it is and how it is loaded."""
    out = sys.stdout if options.dry_run and not options.json else sys.stderr
    plans: list[Plan] = []

    def on_plan(plan: Plan) -> None:
        plans.append(plan)
        show(plan, out)

    try:
        pushed = push(**values_of(options, push), on_plan=on_plan)
    except KeyboardInterrupt as error:
        where = f"{plans[0].endpoint}/{options.repository}" if plans else options.repository
        raise KeyboardInterrupt(f"interrupted; what was sent may have arrived: look at {where}") from error
    plan = {**asdict(pushed.plan), "address": str(pushed.plan.address)}
    if options.dry_run:
        if options.json:
            print(json.dumps(plan, indent=2))
        return
    assert pushed.pin is not None  # only a dry run has none
    if options.json:
        record = {"plan": plan, "address": str(pushed.address), "pin": pushed.pin.model_dump()}
        print(json.dumps(asdict(pushed) | record, indent=2))
        return
    print(f"pushed: {pushed.commit_url}" if pushed.changed else f"nothing has changed since {pushed.commit_url}")
    if pushed.pull_request:
        print(f"pull request: {pushed.pull_request}")
    if options.tag:
        print(f"tag: {options.tag}")
    print(f'load it: zoo.load("{pushed.address}")')
    print(f'pin it, in a recipe: "hub": {pushed.pin.model_dump_json()}')


def show(plan: Plan, out: TextIO) -> None:
    """Print what a push would do."""
    kind = {True: "private", False: "public", None: "public, unless its owner's are private"}[plan.private]
    kind = f"new, {kind}" if plan.new else kind
    print(f"{plan.address.repository} on {plan.endpoint} ({kind}), branch {plan.address.revision}", file=out)
    for name, size in plan.files.items():
        print(f"  {name:<24} {size:>13,} bytes", file=out)
    for name in plan.unchanged:
        print(f"  {name:<24} unchanged", file=out)
    for name in plan.removed:
        print(f"  {name:<24} removed, of an earlier run", file=out)
    for note in plan.notes:
        print(f"  note: {note}", file=out)
