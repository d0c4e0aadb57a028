"""``zoo classifier DATASET``: train the small classifier in whose features samples are compared."""

from __future__ import annotations

import argparse

from zoo.cli._common import add_common
from zoo.cli._output import say
from zoo.cli._places import output_file
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dataset", help="a dataset with classes, such as mnist")
    parser.add_argument(
        "--out", type=user_path, help="the file (default: classifiers/DATASET.safetensors in the data folder)"
    )
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Train, write the file, say how good it is."""
    from zoo.metrics import train_classifier
    from zoo.system.devices import choose_device

    if options.out:
        output_file("--out", options.out, (".safetensors",))
    written = train_classifier(options.dataset, choose_device(options.device), options.out)
    say(f"{written.path}: {written.accuracy:.4f} of {written.images:,} test images classified rightly")
