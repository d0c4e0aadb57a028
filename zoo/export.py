"""``python -m zoo.export MODEL --format onnx --out FOLDER``: a model as files that run without the zoo."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from zoo import cli


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, export, print the files."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo.export",
        description="Write encoder, decoder and reconstruction as ONNX or torch.export files.",
    )
    cli.add_model(parser)
    parser.add_argument("--format", choices=("onnx", "torch"), default="onnx", help="onnx (default), or torch: .pt2")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the files go (default: NAME-FORMAT)")
    cli.add_imports(parser)
    options = parser.parse_args(arguments)
    cli.import_files(options.imports)

    from zoo.loading import load
    from zoo.system.files import check_empty
    from zoo.tasks.exporting import export

    model = load(options.model)
    name = model.config.name if model.config else "model"
    out = options.out or Path(f"{name}-{options.format}")
    check_empty(out)
    for path in export(model, out, options.format):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    cli.run(main)
