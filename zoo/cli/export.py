"""``zoo export MODEL --format onnx --out FOLDER``: a model as files that run without the zoo."""

from __future__ import annotations

import argparse
from pathlib import Path

from zoo.cli._common import add_imports, add_model
from zoo.cli._output import say
from zoo.cli._places import output_folder
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model(parser)
    parser.add_argument("--format", choices=("onnx", "torch"), default="onnx", help="onnx (default), or torch: .pt2")
    parser.add_argument("--out", type=user_path, metavar="FOLDER", help="where the files go (default: NAME-FORMAT)")
    add_imports(parser)


def run(options: argparse.Namespace) -> None:
    """Export encoder, decoder and reconstruction, and print the files."""
    from zoo.entries.loading import load
    from zoo.tasks import export

    model = load(options.model)
    name = model.config.name if model.config else "model"
    out = options.out or Path(f"{name}-{options.format}")
    output_folder("--out", out)
    for path in export(model, out, options.format):
        say(f"{path}: {path.stat().st_size:,} bytes")
