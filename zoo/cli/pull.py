"""``zoo pull hf-hub:owner/name[@revision]``: fetch a model from the Hub."""

from __future__ import annotations

import argparse

from zoo.cli._common import add_json, add_options_of, check_range, loadable, values_of
from zoo.cli._output import say, say_json
from zoo.cli._places import prepare
from zoo.hub import pull
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", help="hf-hub:owner/name, or hf-hub:owner/name@revision")
    parser.add_argument(
        "--to", type=user_path, metavar="FOLDER", help="a new run folder (default: the files stay in the cache)"
    )
    add_options_of(parser, pull, skip=["token"])  # never an argument, where others could see it
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Pull, and say where it is and how it is loaded."""
    check_range("--max-bytes", options.max_bytes, 1, 2**63)
    if options.to:
        prepare("--to", options.to.parent, files=False)
    pulled = pull(**values_of(options, pull))
    if options.json:
        record = {"folder": str(pulled.folder), "address": str(pulled.address), "pin": pulled.pin.model_dump()}
        say_json(record)
        return
    say(f"{'pulled' if pulled.downloaded else 'from the cache'}: {pulled.address}")
    say(f"folder: {pulled.folder}")
    source = pulled.address if options.to is None else loadable(options.to)
    say(f'load it: zoo.load("{source}")')
