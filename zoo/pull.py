"""``python -m zoo.pull hf-hub:owner/name[@revision]``: fetch a model from the Hub."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from zoo import cli
from zoo.errors import ZooError


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, pull, print where it is and how it is loaded."""
    parser = argparse.ArgumentParser(prog="python -m zoo.pull", description="Fetch a model from the Hugging Face Hub.")
    parser.add_argument("source", help="hf-hub:owner/name, or hf-hub:owner/name@revision")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="a new run folder (default: leave it in the cache)")
    parser.add_argument("--overwrite", action="store_true", help="let --to replace a run folder")
    parser.add_argument("--max-bytes", type=int, metavar="N", help="the largest weights to download (default: 2 GiB)")
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    cli.add_hub(parser)
    options = parser.parse_args(arguments)

    from zoo.hub import pull
    from zoo.hub.cache import LIMIT

    if options.max_bytes is not None and options.max_bytes < 1:
        raise ZooError(f"--max-bytes {options.max_bytes}: choose a number above zero")
    most = LIMIT if options.max_bytes is None else options.max_bytes
    pulled = pull(options.source, options.to, overwrite=options.overwrite, max_bytes=most, endpoint=options.endpoint)
    if options.json:
        record = {"folder": str(pulled.folder), "address": str(pulled.address), "pin": pulled.pin.model_dump()}
        print(json.dumps(record, indent=2))
        return
    print(f"{'pulled' if pulled.downloaded else 'from the cache'}: {pulled.address}")
    print(f"folder: {pulled.folder}")
    source = pulled.address if options.to is None else cli.as_path(options.to)
    print(f'load it: zoo.load("{source}")')


if __name__ == "__main__":
    cli.run(main)
