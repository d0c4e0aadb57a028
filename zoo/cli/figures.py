"""``zoo figures MODEL --kind KIND``: figures of a trained model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli._common import add_common, add_data
from zoo.cli._figure_options import add_options, check_kinds, drawing_options
from zoo.cli._output import say, say_lines
from zoo.cli._places import check_own, output_file, prepare
from zoo.errors import NotApplicable, ZooError
from zoo.system.files import user_path

if TYPE_CHECKING:
    from zoo.figures import FigureContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", nargs="?", help="an entry, a run folder (./runs/mine), or hf-hub:owner/name")
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        help="a kind of figure; may be repeated (default: all that the model has)",
    )
    parser.add_argument("--list", action="store_true", help="list the kinds, and stop")
    parser.add_argument(
        "--out", type=user_path, default=Path(),
        help="a .png file (for the kind progress also a .gif), or the folder for MODEL-KIND.png (default: this one)",
    )  # fmt: skip
    add_data(parser)
    add_options(parser)
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Draw, and say which files were written."""
    if options.list:
        say_lines(listing())
        return
    if not options.model:
        raise ZooError("name a model: an entry (conv_vae_mnist) or a run folder (./runs/mine)")

    from zoo.entries.trained_model import TrainedModel
    from zoo.figures import FigureContext
    from zoo.system.devices import choose_device

    refuse_without_effect(options)
    single = options.out.suffix in (".png", ".gif")
    check_out(options.out, single, options.kind)
    trained = TrainedModel(options.model, str(choose_device(options.device)), options.data)
    context = FigureContext(trained, drawing_options(options))
    if options.data is not None:
        say(trained.origin_of_images("test"), sys.stderr)
    if single:
        write(options.out, context, options.kind[0])
        return
    name = trained.config.name if trained.location.address else trained.folder.resolve().name
    files = {kind: options.out / f"{name}-{kind}.png" for kind in check_kinds(options.kind)}
    for file in files.values():
        check_own("--out", file)
    for kind, file in files.items():
        try:
            write(file, context, kind)
        except NotApplicable as error:
            if options.kind:
                raise
            say(f"no {kind}: {error}")


def listing() -> str:
    """Write the kinds, and what each shows."""
    from zoo.registry import FIGURES

    return "\n".join(f"{name:<17}{kind.summary.replace('``', '')}" for name, kind in FIGURES.items().items())


def refuse_without_effect(options: argparse.Namespace) -> None:
    """Refuse options that none of the named kinds heeds."""
    uses = {
        "--at": (options.at, "decode"),
        "--between": (options.between, "interpolation"),
        "--path": (options.path != "linear", "interpolation"),
    }
    for option, (given, kind) in uses.items():
        if given and options.kind and kind not in options.kind:
            raise ZooError(f"{option} is for the kind {kind}: add --kind {kind}, or drop it")


def check_out(out: Path, single: bool, kinds: Sequence[str]) -> None:
    """Refuse what cannot be written before anything is computed."""
    check_kinds(kinds)
    if single and len(kinds) != 1:
        raise ZooError(f"--out {out} is one figure: name one --kind, or a folder")
    if out.suffix == ".gif" and kinds[0] != "progress":
        raise ZooError(f"--out {out}: only the kind progress is an animation; write a .png")
    if single:
        output_file("--out", out, (".png", ".gif"))
    else:
        prepare("--out", out)


def write(out: Path, context: FigureContext, kind: str) -> None:
    """Draw and write one figure."""
    from zoo.figures import draw
    from zoo.plotting import progress_gif, to_png
    from zoo.system.files import write_atomically

    if out.suffix == ".gif":
        snapshots = context.trained.snapshots
        content = progress_gif(snapshots.originals, snapshots.epochs, snapshots.reconstructions)
    else:
        content = to_png(draw(kind, context))
    write_atomically(out, content)
    say(out)
