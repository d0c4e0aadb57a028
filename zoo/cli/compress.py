"""``zoo compress MODEL IMAGES --out FILE.aez``: images to the bytes of their codes."""

from __future__ import annotations

import argparse

from zoo.cli._common import add_common, add_json, add_model_and_images, check_range, progress
from zoo.cli._output import say, say_json
from zoo.cli._places import output_file
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model_and_images(parser)
    parser.add_argument("--out", type=user_path, required=True, metavar="FILE.aez", help="the file to write")
    parser.add_argument(
        "--step",
        type=float,
        default=0.5,
        help="round codes to multiples of this (default: 0.5); for a VQ-VAE without effect",
    )
    parser.add_argument("--names", type=user_path, help="also write which number was which image, .csv or .json")
    add_json(parser)
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Compress, write the file, print what it costs."""
    check_range("--step", options.step, 1e-6, 10**6)
    output_file("--out", options.out, (".aez",))
    if options.names:
        output_file("--names", options.names, (".csv", ".json"))

    from zoo.entries.loading import load
    from zoo.inference.image_stream import open_images
    from zoo.system.devices import choose_device
    from zoo.system.files import write_atomically
    from zoo.system.tables import table_writer
    from zoo.tasks import compress

    model = load(options.model, choose_device(options.device))
    with progress(open_images(options.images, model, options.range)) as images:
        compressed = compress(model, images, options.step)
    write_atomically(options.out, compressed.content)
    if options.names:
        with table_writer(options.names) as write:
            write({"number": range(compressed.images), "path": compressed.names})
    if options.json:
        sizes = {"images": compressed.images, "bytes": len(compressed.content)}
        say_json({**sizes, "bits_per_image": compressed.bits_per_image, "mse": compressed.mse})
        return
    say(
        f"{compressed.images:,} images in {len(compressed.content):,} bytes, {compressed.bits_per_image:.1f} bits per "
        f"image, MSE {compressed.mse:.5f} per pixel: {options.out}"
    )
