"""``python -m zoo.decompress FILE.aez --out FOLDER``: the pictures of a file that ``zoo.compress`` has written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from zoo import cli
from zoo.errors import UnknownNameError, ZooError


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, decode, write a PNG per picture."""
    parser = argparse.ArgumentParser(prog="python -m zoo.decompress", description="Decode a file of zoo.compress.")
    parser.add_argument("file", type=Path, help="as zoo.compress has written it")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the pictures go, as PNG")
    parser.add_argument("--model", help="a run folder or hf-hub:...; by default the entry that the file names")
    cli.add_common(parser)
    options = parser.parse_args(arguments)
    cli.import_files(options.imports)

    from zoo.artifacts import read_file
    from zoo.devices import choose_device
    from zoo.files import make_folder, replace_folder, write_atomically
    from zoo.loading import load
    from zoo.pictures import to_picture
    from zoo.tasks.compression import LARGEST_FILE, decompress, unpack

    if not options.file.exists():
        raise ZooError(f"there is no file {options.file}")
    try:
        content = read_file(options.file, LARGEST_FILE)
        header, _ = unpack(content)
    except ZooError as error:
        raise ZooError(f"{options.file}: {error}") from error
    cli.check_empty("--out", options.out)
    try:
        model = load(options.model or header.entry, choose_device(options.device))
    except UnknownNameError as error:
        raise ZooError(f"{error}; for a model of your own, --model ./runs/{header.entry}") from error
    make_folder(options.out.parent)
    digits, number = len(str(header.images)), 0
    with TemporaryDirectory(prefix=f".{options.out.name}.", dir=options.out.parent) as temporary:
        complete = Path(temporary) / options.out.name
        complete.mkdir()
        for images in decompress(content, model):
            for image in images:
                write_atomically(complete / f"{number:0{digits}}.png", to_picture(image))
                number += 1
        replace_folder(complete, options.out)
    print(f"{number:,} pictures of {header.entry}: {options.out}")


if __name__ == "__main__":
    cli.run(main)
