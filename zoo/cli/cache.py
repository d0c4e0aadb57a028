"""``zoo cache``: show the images that are kept decoded, and delete them."""

from __future__ import annotations

import argparse

from zoo.cli._common import add_json
from zoo.cli._output import print_table, say, say_json
from zoo.errors import ZooError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="only these: folders, or names of datasets (default: everything)"
    )
    parser.add_argument("--clear", action="store_true", help="delete them; images are decoded again when needed")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """List what is there, or delete it.

    Raises:
        ZooError: nothing is kept of a source that was asked for, or a file cannot be deleted.
    """
    from rich.table import Table

    from zoo.datasets._decode import decoded_folder, decoded_sets
    from zoo.system.terminal import plain

    kept = decoded_sets()
    for source in options.sources:
        if not any(one.belongs_to(source) for one in kept):
            raise ZooError(f"nothing is kept of {source}; `zoo cache` lists what is there")
    if options.sources:
        kept = [one for one in kept if any(map(one.belongs_to, options.sources))]
    total = sum(one.bytes for one in kept)
    if options.clear:
        for one in kept:
            one.delete()
    if options.json:
        rows = [{"source": one.source, "images": one.images, "bytes": one.bytes} for one in kept]
        say_json({"folder": str(decoded_folder()), "deleted": options.clear, "kept": rows})
    elif options.clear:
        say(f"deleted {total / 2**20:,.1f} MiB in {decoded_folder()}")
    elif not kept:
        say(f"nothing is kept in {decoded_folder()}")
    else:
        table = Table(title=plain(f"{total / 2**20:,.1f} MiB in {decoded_folder()}", "table.title"))
        table.add_column("source")
        table.add_column("images", justify="right")
        table.add_column("MiB", justify="right")
        for one in kept:
            images = "" if one.images is None else f"{one.images:,}"
            table.add_row(plain(one.source), images, f"{one.bytes / 2**20:,.1f}")
        print_table(table)
