"""``zoo decompress FILE.aez --out FOLDER``: the images of a file that ``zoo compress`` has written."""

from __future__ import annotations

import argparse

from zoo.cli._common import add_common
from zoo.cli._output import say
from zoo.cli._places import output_folder
from zoo.errors import UnknownNameError, ZooError
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=user_path, help="a file that `zoo compress` has written")
    parser.add_argument(
        "--out", type=user_path, required=True, metavar="FOLDER", help="where the images go, as PNG files"
    )
    parser.add_argument("--model", help="a run folder or hf-hub:...; by default the entry that the file names")
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Decode, and write a PNG file per image."""
    from zoo.entries.loading import load
    from zoo.system.devices import choose_device
    from zoo.system.folders import new_folder
    from zoo.system.image_files import encode_png
    from zoo.tasks import decompress, read

    output_folder("--out", options.out)
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
                (folder / f"{number:0{digits}}.png").write_bytes(encode_png(image))
                number += 1
    say(f"{number:,} images of {entry}: {options.out}")
