"""``python -m zoo.impute MODEL PICTURES --drop 0.5``: fill in missing pixels."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import cli
from zoo.errors import ZooError

if TYPE_CHECKING:
    from torch import Tensor


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, fill in, write the pictures and the strip, print how far off the filled pixels are."""
    parser = argparse.ArgumentParser(prog="python -m zoo.impute", description="Fill in missing pixels.")
    cli.add_model_and_pictures(parser)
    missing = parser.add_mutually_exclusive_group(required=True)
    missing.add_argument("--drop", type=float, metavar="P", help="each pixel is missing with this probability")
    missing.add_argument("--box", metavar="TOP,LEFT,HEIGHT,WIDTH", help="a box is missing, in the model's pixels")
    missing.add_argument("--mask", type=Path, metavar="FILE", help="a picture that is black where pixels are missing")
    parser.add_argument("--steps", type=int, default=30, help="at most so many (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of --drop (default: 0)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the filled pictures there, as PNG")
    parser.add_argument("--strip", type=Path, help="original, masked and filled (default: imputed.png)")
    parser.add_argument("--count", type=int, default=10, help="pictures in the strip (default: 10)")
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    cli.add_common(parser)
    options = parser.parse_args(arguments)
    cli.import_files(options.imports)
    strip = options.strip or Path("imputed.png")
    cli.check_file("--strip", strip, (".png",))
    if options.drop is not None and not 0 < options.drop < 1:
        raise ZooError(f"--drop {options.drop}: choose a probability between 0 and 1, such as 0.5")
    if not 1 <= options.count <= 100 or not 0 <= options.seed < 2**63 or not 1 <= options.steps <= 10_000:
        raise ZooError("--count must be between 1 and 100, --steps between 1 and 10,000, --seed not negative")

    import torch

    from zoo import figures
    from zoo.devices import choose_device
    from zoo.files import make_folder, write_atomically
    from zoo.loading import load
    from zoo.pictures import Seen, open_pictures, through, to_picture
    from zoo.tasks.imputation import impute

    model = load(options.model, choose_device(options.device))
    pictures = open_pictures(options.pictures, model)
    observe = masks(options, model.image_shape)
    if options.out:
        cli.check_empty("--out", options.out)
        make_folder(options.out)

    def fill(seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
        observed = observe(tuple(seen.x.shape))
        filled = impute(seen.model, seen.x, observed, options.steps)
        return seen.x, ~observed.expand(seen.x.shape).to(seen.x.device), filled

    error, pixels, count, rows = 0.0, 0, 0, None
    with cli.progress(pictures) as shown:
        for batch, (x, lost, filled) in through(model, shown, fill):
            error += float((filled - x)[lost].double().square().sum())
            pixels += int(lost.sum())
            if rows is None:
                masked = torch.where(lost, torch.full_like(x, 0.5), x)
                rows = [(name, part[: options.count].cpu()) for name, part in
                        (("original", x), ("masked", masked), ("filled", filled))]  # fmt: skip
            if options.out:
                for number, (name, image) in enumerate(zip(batch.names, filled, strict=True), count):
                    write_atomically(options.out / f"{number:06}-{Path(name).stem[:100]}.png", to_picture(image))
            count += len(batch.names)
    if rows is None or not pixels:
        raise ZooError("no pixel was missing")
    write_atomically(strip, figures.to_png(figures.labelled_rows(rows)))
    found = {"pictures": count, "missing": pixels, "mse": error / pixels}
    if options.json:
        print(json.dumps({**found, "strip": str(strip), "out": options.out and str(options.out)}, indent=2))
        return
    print(f"{found['pictures']:,} pictures, MSE {found['mse']:.5f} per missing value; {strip}")


def masks(options: argparse.Namespace, shape: tuple[int, int, int]) -> Callable[[tuple[int, ...]], Tensor]:
    """The shape of a batch → which of its pixels are observed."""
    import torch

    from zoo.pictures import decode
    from zoo.tasks.imputation import boxed, dropped

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
        pixels = decode(options.mask, (1, *shape[1:]))
        if isinstance(pixels, str):
            raise ZooError(f"--mask {options.mask}: {pixels}")
        observed = torch.from_numpy(pixels[0]) > 127
    if observed.all():
        raise ZooError("the mask is white all over: no pixel is missing")
    return lambda batch: observed.expand(batch[0], 1, *shape[1:])


if __name__ == "__main__":
    cli.run(main)
