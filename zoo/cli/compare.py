"""``zoo compare [MODEL ...]``: models side by side in one figure and one table."""

from __future__ import annotations

import argparse

from zoo.cli._common import add_common, add_data, add_json, check_range, with_runs_of_folders
from zoo.cli._figure_options import add_options, check_kinds, drawing_options
from zoo.cli._output import print_table, say, say_json
from zoo.cli._places import output_file
from zoo.entries.catalog import shipped_entries
from zoo.errors import ZooError
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "models",
        nargs="*",
        help="entries, run folders (./runs/mine) and folders of them (./runs); by default the shipped "
        "entries of the dataset --data, or of MNIST",
    )
    add_data(parser, "what the first model was trained on")
    parser.add_argument("--out", type=user_path, help="the figure (default: compare.png; none with --json)")
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

    from zoo.evaluation.comparison import compare
    from zoo.plotting import to_png
    from zoo.system.devices import choose_device
    from zoo.system.files import write_atomically

    device = str(choose_device(options.device))
    if options.kind:
        from zoo.entries.trained_model import TrainedModel
        from zoo.figures import FigureContext, side_by_side

        wanted = drawing_options(options)
        contexts = {str(model): FigureContext(TrainedModel(model, device, options.data), wanted) for model in models}
        assert out is not None  # there is no JSON of figures
        write_atomically(out, to_png(side_by_side(contexts, *check_kinds([options.kind]))))
        say(out)
        return
    count = 8 if options.count is None else options.count
    check_range("--count", count, 1, 100)
    comparison = compare(models, data=options.data, count=count, device=device)
    if out:
        write_atomically(out, to_png(comparison.figure))
    if options.json:
        say_json(comparison.to_dict())
        return
    print_table(comparison.table())
    for note in comparison.notes:
        say(note)
    say(f"wrote {out}")
