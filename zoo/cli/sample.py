"""``zoo sample MODEL --count 100 --out FOLDER``: images that a model draws, as image files."""

from __future__ import annotations

import argparse

from zoo.cli._common import add_common, add_model, check_range
from zoo.cli._output import say
from zoo.cli._places import output_folder
from zoo.errors import ZooError
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model(parser)
    parser.add_argument("--out", type=user_path, required=True, metavar="FOLDER", help="write the PNG files there")
    parser.add_argument("--count", type=int, default=100, help="the number of images (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the codes (default: 0)")
    parser.add_argument(
        "--label", type=int, metavar="Y", help="the class of the images of a conditional model (default: each in turn)"
    )
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Draw, and write the files."""
    check_range("--count", options.count, 1, 1_000_000)
    check_range("--seed", options.seed, 0, 2**63 - 1)
    output_folder("--out", options.out)

    import torch

    from zoo.cli._image_files import write_images
    from zoo.entries.loading import load
    from zoo.inference.loops import eval_batch_size
    from zoo.system.devices import choose_device
    from zoo.system.folders import new_folder

    model = load(options.model, choose_device(options.device))
    if options.label is not None and not model.classes:
        raise ZooError(f"{options.model} is not a conditional model: it takes no --label")
    if options.label is not None:
        check_range("--label", options.label, 0, model.classes - 1)
    generator = torch.Generator().manual_seed(options.seed)
    size = eval_batch_size(model.image_shape)
    with new_folder(options.out) as folder:
        for first in range(0, options.count, size):
            numbers = torch.arange(first, min(first + size, options.count))
            labels = None
            if model.classes:
                labels = numbers % model.classes if options.label is None else torch.full_like(numbers, options.label)
            names = [""] * len(numbers) if labels is None else [f"class-{label}" for label in labels.tolist()]
            write_images(folder, names, model.sample(len(numbers), generator, labels), first)
    say(f"{options.count:,} samples: {options.out}")
