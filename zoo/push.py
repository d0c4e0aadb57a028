"""``python -m zoo.push RUN_FOLDER owner/name``: put a trained model on the Hub."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from zoo import cli


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, push, print where it is and how it is loaded."""
    parser = argparse.ArgumentParser(prog="python -m zoo.push", description="Put a run folder on the Hugging Face Hub.")
    parser.add_argument("folder", type=Path, help="what training wrote, such as runs/mine")
    parser.add_argument("repository", help="owner/name; it is made if there is none")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and write nothing")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--branch", default="main", help="where the commit goes (default: main)")
    parser.add_argument("--tag", help="set this tag on the commit, such as v1")
    parser.add_argument("--pull-request", action="store_true", help="propose the commit instead of making it")
    parser.add_argument("--message", default="", help="of the commit")
    parser.add_argument("--replace", action="store_true", help="let another model in the repository give way")
    parser.add_argument("--replace-card", action="store_true", help="overwrite a card that was edited on the Hub")
    parser.add_argument("--without-pictures", action="store_true", help="leave out the files that show test images")
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    cli.add_hub(parser)
    cli.add_imports(parser)
    options = parser.parse_args(arguments)
    cli.import_files(options.imports)

    from zoo.hub import Plan, Upload

    upload = Upload(
        folder=options.folder,
        repository=options.repository,
        private=options.private,
        branch=options.branch,
        tag=options.tag,
        pull_request=options.pull_request,
        message=options.message,
        replace=options.replace,
        replace_card=options.replace_card,
        without_pictures=options.without_pictures,
        endpoint=options.endpoint,
    )

    def tell(plan: Plan) -> None:
        out = sys.stdout if options.dry_run and not options.json else sys.stderr
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

    if options.dry_run:
        plan = upload.plan()
        tell(plan)
        if options.json:
            print(json.dumps({**asdict(plan), "address": str(plan.address)}, indent=2))
        return
    try:
        pushed = upload.push(tell)
    except KeyboardInterrupt as error:
        where = f"{upload.hub.endpoint}/{upload.repository}"
        raise KeyboardInterrupt(f"interrupted; what was sent may have arrived: look at {where}") from error
    if options.json:
        told = {
            "plan": asdict(pushed.plan) | {"address": str(pushed.plan.address)},
            "address": str(pushed.address),
            "pin": pushed.pin.model_dump(),
        }
        print(json.dumps(asdict(pushed) | told, indent=2))
        return
    print(f"pushed: {pushed.commit_url}" if pushed.changed else f"nothing has changed since {pushed.commit_url}")
    if pushed.pull_request:
        print(f"pull request: {pushed.pull_request}")
    if options.tag:
        print(f"tag: {options.tag}")
    print(f'load it: zoo.load("{pushed.address}")')
    print(f'pin it, in a recipe: "hub": {pushed.pin.model_dump_json()}')


if __name__ == "__main__":
    cli.run(main)
