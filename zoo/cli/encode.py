"""``zoo encode MODEL IMAGES --out FILE.npz``: the codes of images, as features."""

from __future__ import annotations

import argparse

from zoo.cli._common import add_common, add_model_and_images, progress
from zoo.cli._output import say
from zoo.cli._places import output_file
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model_and_images(parser)
    parser.add_argument("--out", type=user_path, required=True, metavar="FILE", help="a .npz or .safetensors file")
    parser.add_argument(
        "--depth",
        type=int,
        help="features after so many layers of the encoder, 1 for its first, instead of the codes; maps are averaged "
        "over their positions",
    )
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Encode, and write the file."""
    output_file("--out", options.out, (".npz", ".safetensors"))

    from zoo.entries.loading import load
    from zoo.inference.image_stream import open_images
    from zoo.system.devices import choose_device
    from zoo.tasks import encode, write_codes

    model = load(options.model, choose_device(options.device))
    with progress(open_images(options.images, model, options.range)) as images:
        codes = encode(model, images, options.depth)
    write_codes(codes, options.out)
    what = "codes" if options.depth is None else f"features of depth {options.depth},"
    say(f"{len(codes.names):,} {what} of {codes.codes.shape[1]} dimensions: {options.out}")
