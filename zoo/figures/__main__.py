"""``python -m zoo.figures MODEL --kind KIND``: pictures of a trained model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import cli
from zoo.errors import Lacking, ZooError
from zoo.picture_options import add_options, check_kinds, drawing_options

if TYPE_CHECKING:
    from zoo.subject import Subject


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, draw, say which files were written."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo.figures",
        description="Pictures of a trained model.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", nargs="?", help="an entry, a run folder (./runs/mine), or hf-hub:owner/name")
    parser.add_argument(
        "--kind", action="append", default=[], help="what to draw; may be repeated (default: all that the model has)"
    )
    parser.add_argument("--list", action="store_true", help="list the kinds, and stop")
    parser.add_argument(
        "--out", type=Path, default=Path(),
        help="a .png file (of the kind progress also a .gif), or the folder for MODEL-KIND.png (default: this one)",
    )  # fmt: skip
    add_options(parser)
    cli.add_common(parser)
    options = parser.parse_args(arguments)
    if options.list:
        print(listing())
        return
    if not options.model:
        raise ZooError("name a model: an entry (conv_vae_mnist) or a run folder (./runs/mine)")
    cli.import_files(options.imports)

    from zoo.subject import Subject
    from zoo.system.devices import choose_device

    single = options.out.suffix in (".png", ".gif")
    check_out(options.out, single, options.kind)
    subject = Subject(options.model, str(choose_device(options.device)), drawing_options(options))
    if single:
        write(options.out, subject, options.kind[0])
        return
    name = subject.config.name if subject.found.address else subject.folder.resolve().name
    kinds = check_kinds(options.kind)
    for kind in kinds:
        try:
            write(options.out / f"{name}-{kind}.png", subject, kind)
        except Lacking as error:
            if options.kind:
                raise
            print(f"no {kind}: {error}")


def listing() -> str:
    """The kinds, and what each shows."""
    from zoo.gallery import KINDS, describe

    return "\n".join(f"{kind:<17}{describe(kind)}" for kind in KINDS)


def check_out(out: Path, single: bool, kinds: Sequence[str]) -> None:
    """Refuse what cannot be written before anything is computed."""
    check_kinds(kinds)
    if single and len(kinds) != 1:
        raise ZooError(f"--out {out} is one picture: name one --kind, or a folder")
    if out.suffix == ".gif" and kinds[0] != "progress":
        raise ZooError(f"--out {out}: only the kind progress is an animation; write a .png")
    folder = out.parent if single else out
    if not folder.is_dir():
        raise ZooError(f"--out {out}: there is no folder {folder}")


def write(out: Path, subject: Subject, kind: str) -> None:
    """Draw and write one picture."""
    from zoo.gallery import KINDS
    from zoo.plotting import progress_gif, to_png
    from zoo.system.files import write_atomically

    if out.suffix == ".gif":
        found = subject.snapshots
        content = progress_gif(found.originals, found.epochs, found.reconstructions)
    else:
        content = to_png(KINDS[kind](subject))
    write_atomically(out, content)
    print(out)


if __name__ == "__main__":
    cli.run(main)
