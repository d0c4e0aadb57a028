"""``zoo reconstruct MODEL IMAGES --out FOLDER``: what a model makes of images, as image files."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from zoo.cli._common import add_common, add_json, add_model_and_images, progress
from zoo.cli._output import say, say_json
from zoo.cli._places import check_apart, output_folder
from zoo.system.files import user_path

if TYPE_CHECKING:
    from torch import Tensor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model_and_images(parser)
    parser.add_argument("--out", type=user_path, required=True, metavar="FOLDER", help="write the PNG files there")
    add_json(parser)
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Reconstruct, write the files, print how far off they are."""
    output_folder("--out", options.out)
    check_apart("--out", options.out, options.images)

    from zoo.cli._image_files import write_images
    from zoo.entries.loading import load
    from zoo.inference.image_stream import PreparedBatch, map_images, open_images
    from zoo.models.numerics import mean_squared_errors
    from zoo.system.devices import choose_device
    from zoo.system.folders import new_folder

    model = load(options.model, choose_device(options.device))
    images = open_images(options.images, model, options.range)

    def reconstruct(prepared: PreparedBatch) -> tuple[Tensor, Tensor]:
        y = prepared.model.reconstruct(prepared.x)
        return y, mean_squared_errors(prepared.x, y)

    squared, count = 0.0, 0
    with new_folder(options.out) as folder, progress(images) as shown:
        for batch, (y, errors) in map_images(model, shown, reconstruct):
            write_images(folder, batch.names, y, count)
            squared += float(errors.double().sum())
            count += len(batch.names)
    if options.json:
        say_json({"images": count, "mse": squared / count, "out": str(options.out)})
    else:
        say(f"{count:,} reconstructions, MSE {squared / count:.5f} per pixel: {options.out}")
