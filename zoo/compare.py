"""``python -m zoo.compare [MODEL ...]``: models side by side in one picture and one table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from zoo import cli
from zoo.catalog import list_models
from zoo.errors import ZooError


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, compare, print the table, write the picture."""
    parser = argparse.ArgumentParser(prog="python -m zoo.compare", description="Compare models of the autoencoder zoo.")
    parser.add_argument(
        "models", nargs="*", help="entries and run folders (./runs/mine); by default every shipped entry"
    )
    parser.add_argument(
        "--data",
        help="a dataset, or a folder of pictures such as ./pictures (default: what the first model was trained on)",
    )
    parser.add_argument("--out", type=Path, help="the picture (default: compare.png; none with --json)")
    parser.add_argument("--count", type=int, default=8, help="test images and samples in a row (default: 8)")
    parser.add_argument("--json", action="store_true", help="print the table as JSON instead")
    cli.add_common(parser)
    options = parser.parse_args(arguments)
    out = options.out or (None if options.json else Path("compare.png"))
    if out and (out.suffix != ".png" or not out.parent.is_dir()):
        raise ZooError(f"--out {out}: expected the name of a .png file in a folder that is there")
    if not 1 <= options.count <= 100:
        raise ZooError(f"--count {options.count}: choose between 1 and 100 images")
    cli.import_files(options.imports)
    models = options.models or list_models(weights=True)
    if not models:
        raise ZooError("no entry has shipped weights here; name a run folder, as in python -m zoo.compare ./runs/mine")

    from zoo.comparison import compare
    from zoo.devices import choose_device
    from zoo.evaluation import COLUMNS, cells
    from zoo.figures import to_png
    from zoo.files import write_atomically

    device = choose_device(options.device)
    found = compare(models, data=options.data, count=options.count, device=str(device))
    if out:
        write_atomically(out, to_png(found.figure))
    if options.json:
        print(json.dumps(found.to_dict(), indent=2))
        return

    from rich.console import Console
    from rich.table import Table

    table = Table("model", "variant", title=found.data)
    for heading in ("parameters", *(heading for heading, _ in COLUMNS.values())):
        table.add_column(heading, justify="right")
    for result in found.results:
        table.add_row(result.name, result.variant, f"{result.parameters:,}", *cells(result.metrics, missing="-"))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    print(f"wrote {out}")


if __name__ == "__main__":
    cli.run(main)
