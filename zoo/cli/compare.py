"""``zoo compare [MODEL ...]``: models side by side in one figure and one table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli._common import add_common, add_data, add_json, check_range, with_runs_of_folders
from zoo.cli._figure_options import add_options, check_kinds, drawing_options
from zoo.cli._output import print_table, say, say_json
from zoo.cli._places import check_own, output_file
from zoo.entries.catalog import shipped_entries
from zoo.errors import ZooError
from zoo.system.files import user_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "models",
        nargs="*",
        help="entries, run folders (./runs/mine) and folders of them (./runs); by default the shipped "
        "entries of the dataset --data, or of MNIST",
    )
    add_data(parser, "what each model was trained on")
    parser.add_argument(
        "--out",
        type=user_path,
        help="the figure (default: compare.png; none with --json); of many models or several datasets the first page, "
        "beside which the others are compare-2.png, ...",
    )
    parser.add_argument(
        "--kind", help="draw this kind of figure of each model instead (`zoo figures --list` names them)"
    )
    add_options(parser)
    add_json(parser, " of the table")
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Compare, print the table, write the figure."""
    if options.kind and options.json:
        raise ZooError("--kind draws a figure: drop --json")
    if not options.kind and (options.at or options.between or options.seed or options.path != "linear"):
        raise ZooError("--at, --between, --path and --seed are for --kind")
    models = with_runs_of_folders(options.models) or shipped_entries(options.data or "mnist")
    if not models:
        raise ZooError(
            f"no entry with weights is of the dataset {options.data or 'mnist'!r}; name models, as in "
            f"zoo compare ./runs/mine conv_vae_mnist"
        )

    needed = options.out or not options.json
    out = output_file("--out", options.out, (".png",), default="compare.png") if needed else None

    from zoo.evaluation.comparison import MODELS_PER_PAGE, compare, portions
    from zoo.system.devices import choose_device

    device = str(choose_device(options.device))
    if options.kind:
        from zoo.entries.trained_model import TrainedModel
        from zoo.figures import FigureContext, side_by_side

        wanted, (kind,) = drawing_options(options), check_kinds([options.kind])
        contexts = {str(model): FigureContext(TrainedModel(model, device, options.data), wanted) for model in models}
        pages = [side_by_side(dict(page), kind) for page in portions(list(contexts.items()), MODELS_PER_PAGE)]
        assert out is not None  # there is no JSON of figures
        for path in write_pages(out, pages):
            say(path)
        return
    count = 8 if options.count is None else options.count
    check_range("--count", count, 1, 100)
    comparison = compare(models, data=options.data, count=count, device=device)
    if options.json:
        say_json(comparison.to_dict())
    else:
        print_table(comparison.table())
        for note in comparison.notes:
            say(note)
    if out:
        written = write_pages(out, comparison.figures)
        if not options.json:
            say(f"wrote {', '.join(map(str, written))}")


def write_pages(out: Path, pages: Sequence[Figure]) -> list[Path]:
    """Write figures into ``out``, ``out-2``, ..., and return the files. Only the first was named by the user.

    Raises:
        ZooError: a file cannot be written, or one of the others is not the zoo's; nothing is written then.
    """
    from zoo.plotting import to_png
    from zoo.system.files import write_atomically

    files = [out, *(out.with_stem(f"{out.stem}-{number}") for number in range(2, len(pages) + 1))]
    for file in files[1:]:
        check_own("--out", file)
    for file, page in zip(files, pages, strict=True):
        write_atomically(file, to_png(page))
    return files
