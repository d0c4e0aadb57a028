"""``python -m zoo.compare [MODEL ...]``: models side by side in one picture and one table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from zoo import cli
from zoo.catalog import list_models, recipe_paths, weights_folder
from zoo.errors import ZooError
from zoo.picture_options import add_options, check_kinds, drawing_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, compare, print the table, write the picture."""
    parser = argparse.ArgumentParser(prog="python -m zoo.compare", description="Compare models of the autoencoder zoo.")
    parser.add_argument(
        "models",
        nargs="*",
        help="entries and run folders (./runs/mine); by default the shipped entries of the dataset --data, or of MNIST",
    )
    parser.add_argument(
        "--data",
        help="a dataset, or a folder of pictures such as ./pictures (default: what the first model was trained on)",
    )
    parser.add_argument("--out", type=Path, help="the picture (default: compare.png; none with --json)")
    parser.add_argument(
        "--kind", help="draw this kind of picture of each model instead (python -m zoo.figures --list names them)"
    )
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print the table as JSON instead")
    cli.add_common(parser)
    options = parser.parse_args(arguments)
    out = options.out or (None if options.json else Path("compare.png"))
    if out and (out.suffix != ".png" or not out.parent.is_dir()):
        raise ZooError(f"--out {out}: expected the name of a .png file in a folder that is there")
    if options.kind and (options.json or (options.data and options.models)):
        raise ZooError("--kind draws each named model on its own data: leave --data and --json away")
    if not options.kind and (options.at or options.between or options.seed or options.path != "linear"):
        raise ZooError("--at, --between, --path and --seed are for --kind")
    cli.import_files(options.imports)
    models = options.models or shipped_entries(options.data or "mnist")
    if not models:
        raise ZooError(
            f"no entry with weights is of the dataset {options.data or 'mnist'!r}; name models, as in "
            f"python -m zoo.compare ./runs/mine conv_vae_mnist"
        )

    from zoo.comparison import compare
    from zoo.evaluation import COLUMNS, cells, headings
    from zoo.gallery import beside
    from zoo.plotting import to_png
    from zoo.subject import Subject
    from zoo.system.devices import choose_device
    from zoo.system.files import write_atomically

    device = choose_device(options.device)
    if options.kind:
        subjects = {str(model): Subject(model, str(device), drawing_options(options)) for model in models}
        write_atomically(out or Path("compare.png"), to_png(beside(subjects, *check_kinds([options.kind]))))
        print(out)
        return
    count = 8 if options.count is None else options.count
    if not 1 <= count <= 100:
        raise ZooError(f"--count {count}: choose between 1 and 100 images")
    found = compare(models, data=options.data, count=count, device=str(device))
    if out:
        write_atomically(out, to_png(found.figure))
    if options.json:
        print(json.dumps(found.to_dict(), indent=2))
        return

    from rich.console import Console
    from rich.table import Table

    table = Table(title=found.data)
    table.add_column("model", no_wrap=True)
    table.add_column("variant")
    measured = {name for result in found.results for name in result.metrics}
    columns = {name: heading for name, heading in zip(COLUMNS, headings(), strict=True) if name in measured}
    for heading in ("parameters", *columns.values()):
        table.add_column(heading, justify="right")
    for result in found.results:
        shown = dict(zip(COLUMNS, cells(result.metrics, missing="-"), strict=True))
        values = [shown[name] for name in columns]
        table.add_row(result.name, result.variant, f"{result.parameters:,}", *values)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    print(f"wrote {out}")


def shipped_entries(data: str) -> list[str]:
    """The entries with weights in the package that were trained on a dataset as it is: binarised, it is another one."""
    trained_on = {name: json.loads(path.read_text(encoding="utf-8"))["data"] for name, path in recipe_paths().items()}
    return [
        name
        for name in list_models()
        if weights_folder(name)
        and trained_on[name]["name"] == data
        and trained_on[name].get("binarization", "none") == "none"
    ]


if __name__ == "__main__":
    cli.run(main)
