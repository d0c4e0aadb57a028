"""``python -m zoo.decompress FILE.aez --out FOLDER``: the pictures of a file that ``zoo.compress`` has written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from zoo import cli
from zoo.errors import UnknownNameError, ZooError
from zoo.system.files import check_empty


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, decode, write a PNG per picture."""
    parser = argparse.ArgumentParser(prog="python -m zoo.decompress", description="Decode a file of zoo.compress.")
    parser.add_argument("file", type=Path, help="as zoo.compress has written it")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the pictures go, as PNG")
    parser.add_argument("--model", help="a run folder or hf-hub:...; by default the entry that the file names")
    cli.add_common(parser)
    options = parser.parse_args(arguments)
    cli.import_files(options.imports)

    from zoo.loading import load
    from zoo.system.devices import choose_device
    from zoo.system.files import new_folder
    from zoo.system.image_files import to_png
    from zoo.tasks.code_file import read
    from zoo.tasks.compression import decompress

    check_empty(options.out)
    file = read(options.file)
    entry = file.header.entry
    try:
        model = load(options.model or entry, choose_device(options.device))
    except UnknownNameError as error:
        raise ZooError(f"{error}; for a model of your own, --model ./runs/{entry}") from error
    digits, number = len(str(file.header.images)), 0
    with new_folder(options.out) as folder:
        for images in decompress(file, model):
            for image in images:
                (folder / f"{number:0{digits}}.png").write_bytes(to_png(image))
                number += 1
    print(f"{number:,} pictures of {entry}: {options.out}")


if __name__ == "__main__":
    cli.run(main)
