"""``zoo verify NAME ...``: check where trained models come from, and train them again."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

from zoo.cli._common import MODELS_HELP, add_common, add_data, add_json, expand_models
from zoo.cli._output import say, say_json
from zoo.cli._places import prepare
from zoo.errors import ZooError
from zoo.system.files import user_path

MARKS = {True: "ok    ", False: "FAILED", None: "      "}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help=MODELS_HELP)
    add_data(parser)
    parser.add_argument("--retrain", action="store_true", help="train the card's recipe again and compare the figures")
    parser.add_argument("--out", type=user_path, help="the run folder of --retrain (default: runs/NAME-again)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of --retrain")
    add_json(parser)
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Check and print; the exit code is 1 where a check fails."""
    models = expand_models(options.models)
    if (options.out or options.resume) and not options.retrain:
        raise ZooError("--out and --resume go with --retrain")
    if options.out and len(models) > 1:
        raise ZooError("--out is for one model; several are trained into runs/NAME-again")
    if options.out:
        prepare("--out", options.out.parent, files=False)

    from zoo.entries.trained_model import TrainedModel
    from zoo.evaluation.verification import retrain, verify
    from zoo.system.devices import choose_device

    device = choose_device(options.device)
    results = {}
    for model in models:
        trained = TrainedModel(model, str(device), options.data)
        checks = list(verify(trained))
        if options.retrain:
            out = options.out or Path("runs") / f"{trained.config.name}-again"
            with redirect_stdout(sys.stderr):  # where training shows its progress
                checks += retrain(trained, out, device, resume=options.resume)
        results[model] = checks
        if not options.json:
            say(f"{trained.config.name}")
            for check in checks:
                say(f"  {MARKS[check.passed]} {check.what}: {check.detail}")
    if options.json:
        say_json({model: [asdict(check) for check in checks] for model, checks in results.items()})
    return int(any(check.passed is False for checks in results.values() for check in checks))
