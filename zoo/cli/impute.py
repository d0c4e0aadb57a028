"""``zoo impute MODEL IMAGES --drop 0.5``: fill in missing pixels."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli._common import (
    add_common,
    add_json,
    add_model_and_images,
    check_range,
    progress,
)
from zoo.cli._output import say, say_json
from zoo.cli._places import check_apart, output_file, output_folder
from zoo.errors import ZooError
from zoo.system.files import user_path

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.models import Autoencoder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model_and_images(parser)
    missing = parser.add_mutually_exclusive_group(required=True)
    missing.add_argument("--drop", type=float, metavar="P", help="each pixel is missing with this probability")
    missing.add_argument("--box", metavar="TOP,LEFT,HEIGHT,WIDTH", help="a box is missing, in the model's pixels")
    missing.add_argument(
        "--mask", type=user_path, metavar="FILE", help="an image that is black where pixels are missing"
    )
    parser.add_argument("--steps", type=int, default=30, help="the most steps that are made (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of --drop (default: 0)")
    parser.add_argument("--out", type=user_path, metavar="FOLDER", help="write the filled images there, as PNG files")
    parser.add_argument("--strip", type=user_path, help="original, masked and filled images (default: imputed.png)")
    parser.add_argument("--count", type=int, default=10, help="images in the strip (default: 10)")
    add_json(parser)
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Fill in, write the images and the strip, print how far off the filled pixels are."""
    if options.drop is not None and not 0 < options.drop < 1:
        raise ZooError(f"--drop {options.drop}: choose a probability between 0 and 1, such as 0.5")
    check_range("--count", options.count, 1, 100)
    check_range("--steps", options.steps, 1, 10_000)
    check_range("--seed", options.seed, 0, 2**63 - 1)
    strip = output_file("--strip", options.strip, (".png",), default="imputed.png")
    check_apart("--strip", strip, options.images)
    if options.out:
        output_folder("--out", options.out)
        check_apart("--out", options.out, options.images)

    import torch

    from zoo import plotting
    from zoo.cli._image_files import write_images
    from zoo.entries.loading import load
    from zoo.inference.image_stream import PreparedBatch, map_images, open_images
    from zoo.system.devices import choose_device
    from zoo.system.files import write_atomically
    from zoo.system.folders import new_folder
    from zoo.tasks import impute

    model = load(options.model, choose_device(options.device))
    images = open_images(options.images, model, options.range)
    observe = masks(options, model)

    def fill(prepared: PreparedBatch) -> tuple[Tensor, Tensor, Tensor]:
        x, observed = prepared.x, observe(tuple(prepared.x.shape))
        return x, ~observed.expand(x.shape).to(x.device), impute(prepared.model, x, observed, options.steps)

    squared, missing, count, rows = 0.0, 0, 0, []
    out = new_folder(options.out) if options.out else nullcontext()
    with out as folder, progress(images) as shown:
        for batch, (x, lost, filled) in map_images(model, shown, fill):
            squared += float((filled - x)[lost].double().square().sum())
            missing += int(lost.sum())
            if not count:
                masked = torch.where(lost, torch.full_like(x, 0.5), x)
                rows = [("original", x), ("masked", masked), ("filled", filled)]
            if folder:
                write_images(folder, batch.names, filled, count)
            count += len(batch.names)
        if not missing:
            raise ZooError("no pixel was missing")
        first = [(label, part[: options.count].cpu()) for label, part in rows]
        write_atomically(strip, plotting.to_png(plotting.labelled_rows(first)))
    mse = squared / missing
    if options.json:
        result = {"images": count, "missing_values": missing, "mse": mse}
        say_json({**result, "strip": str(strip), "out": options.out and str(options.out)})
        return
    written = f"; the filled images: {options.out}" if options.out else ""
    say(f"{count:,} images, MSE {mse:.5f} per missing value; the first: {strip}{written}")


def masks(options: argparse.Namespace, model: Autoencoder) -> Callable[[tuple[int, ...]], Tensor]:
    """Return a function from the shape of a batch to which of its pixels are observed."""
    import torch

    from zoo.tasks import boxed, dropped

    shape = model.image_shape
    if options.drop is not None:
        generator = torch.Generator().manual_seed(options.seed)
        return lambda batch: dropped(batch, options.drop, generator)
    if options.box:
        try:
            top, left, height, width = (int(part) for part in options.box.split(","))
        except ValueError as error:
            raise ZooError(f"--box {options.box}: expected four whole numbers, as in --box 7,7,14,14") from error
        observed = boxed(shape, top, left, height, width)
    else:
        observed = read_mask(options.mask, model)
    if observed.all():
        raise ZooError("the mask is white all over: no pixel is missing")
    return lambda batch: observed.expand(batch[0], 1, *shape[1:])


def read_mask(file: Path, model: Autoencoder) -> Tensor:
    """Return which pixels (H, W) of a model's images a mask leaves, brought to their shape as their files are.

    What lies around a mask that is padded is observed.

    Raises:
        ZooError: it cannot be read.
    """
    import torch
    from PIL import Image

    from zoo.inference.file_stream import presentation_of
    from zoo.system.image_files import decode_or_reason, fitted, open_image, orientation_of, to_array, turned

    _, height, width = model.image_shape
    presentation = replace(presentation_of(model), shape=(1, height, width), range=None)
    pixels = decode_or_reason(file, presentation)
    if isinstance(pixels, str):
        raise ZooError(f"--mask {file}: {pixels}")
    with open_image(file) as image:
        white = turned(Image.new("L", image.size, 255), orientation_of(image))
    inside = to_array(fitted(white, (width, height), presentation.fit), presentation.shape)
    return torch.from_numpy((pixels[0] > 127) | (inside[0] < 128))
