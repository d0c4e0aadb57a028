"""``python -m zoo.verify NAME ...``: check where trained models come from, and train them again."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

from zoo import cli
from zoo.errors import ZooError


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, check, print; the exit code is 1 where a check fails."""
    parser = argparse.ArgumentParser(prog="python -m zoo.verify", description="Check where trained models come from.")
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="entries (wildcards allowed), run folders (./runs/x), hf-hub:owner/name",
    )
    parser.add_argument("--retrain", action="store_true", help="train the card's recipe again and compare the figures")
    parser.add_argument("--out", type=Path, help="with --retrain: the run folder (default: runs/NAME-again)")
    parser.add_argument("--resume", action="store_true", help="with --retrain: go on from the last checkpoint")
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    cli.add_common(parser)
    options = parser.parse_args(arguments)
    cli.import_files(options.imports)
    models = cli.expand_models(options.models)
    if (options.out or options.resume) and not options.retrain:
        raise ZooError("--out and --resume go with --retrain")
    if options.out and len(models) > 1:
        raise ZooError("--out is for one model; several are trained into runs/NAME-again")

    from zoo.subject import Subject
    from zoo.system.devices import choose_device
    from zoo.verification import retrain, verify

    device = choose_device(options.device)
    found = {}
    for model in models:
        subject = Subject(model, str(device))
        checks = list(verify(subject))
        if options.retrain:
            out = options.out or Path("runs") / f"{subject.config.name}-again"
            with redirect_stdout(sys.stderr):  # where training tells how far it is
                checks += retrain(subject, out, device, resume=options.resume)
        found[model] = checks
        if not options.json:
            print(f"{subject.config.name}")
            for check in checks:
                print(f"  {MARKS[check.passed]} {check.what}: {check.detail}")
    if options.json:
        print(json.dumps({model: [asdict(check) for check in checks] for model, checks in found.items()}, indent=2))
    sys.exit(1 if any(check.passed is False for checks in found.values() for check in checks) else 0)


MARKS = {True: "ok    ", False: "FAILED", None: "      "}


if __name__ == "__main__":
    cli.run(main)
