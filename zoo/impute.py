"""``python -m zoo.impute MODEL PICTURES --drop 0.5``: fill in missing pixels."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import cli
from zoo.errors import ZooError
from zoo.system.files import check_empty

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
    cli.check_apart("--strip", strip, options.pictures)
    if options.out:
        check_empty(options.out)
        cli.check_apart("--out", options.out, options.pictures)
    if options.drop is not None and not 0 < options.drop < 1:
        raise ZooError(f"--drop {options.drop}: choose a probability between 0 and 1, such as 0.5")
    cli.check_range("--count", options.count, 1, 100)
    cli.check_range("--steps", options.steps, 1, 10_000)
    cli.check_range("--seed", options.seed, 0, 2**63 - 1)

    import torch

    from zoo import plotting
    from zoo.loading import load
    from zoo.pictures import Seen, open_pictures, through
    from zoo.system.devices import choose_device
    from zoo.system.files import new_folder, write_atomically
    from zoo.system.image_files import to_png
    from zoo.tasks.imputation import impute

    model = load(options.model, choose_device(options.device))
    pictures = open_pictures(options.pictures, model)
    observe = masks(options, model.image_shape)

    def fill(seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
        observed = observe(tuple(seen.x.shape))
        filled = impute(seen.model, seen.x, observed, options.steps)
        return seen.x, ~observed.expand(seen.x.shape).to(seen.x.device), filled

    squared, lacking, count, rows = 0.0, 0, 0, []
    out = new_folder(options.out) if options.out else nullcontext()
    with out as folder, cli.progress(pictures) as shown:
        for batch, (x, lost, filled) in through(model, shown, fill):
            squared += float((filled - x)[lost].double().square().sum())
            lacking += int(lost.sum())
            if not count:
                masked = torch.where(lost, torch.full_like(x, 0.5), x)
                rows = [("original", x), ("masked", masked), ("filled", filled)]
            for number, (name, image) in enumerate(zip(batch.names, filled, strict=True), count):
                if folder:
                    (folder / f"{number:06}-{short(Path(name).stem)}.png").write_bytes(to_png(image))
            count += len(batch.names)
        if not lacking:
            raise ZooError("no pixel was missing")
        first = [(label, images[: options.count].cpu()) for label, images in rows]
        write_atomically(strip, plotting.to_png(plotting.labelled_rows(first)))
    mse = squared / lacking
    if options.json:
        found = {"pictures": count, "missing_values": lacking, "mse": mse}
        print(json.dumps({**found, "strip": str(strip), "out": options.out and str(options.out)}, indent=2))
        return
    written = f"; filled: {options.out}" if options.out else ""
    print(f"{count:,} pictures, MSE {mse:.5f} per missing value; the first: {strip}{written}")


def short(name: str) -> str:
    """As much of a name as fits into that of another file, whose length the system counts in bytes."""
    return name.encode()[:100].decode(errors="ignore")


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
