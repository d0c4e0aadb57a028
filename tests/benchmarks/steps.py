"""How long a step of training takes, against another checkout, in turns of about a second.

    python -m tests.benchmarks.steps linear_vae_mnist conv_vae_mnist --against ../another-checkout

Both train in processes of their own, one of which always waits, so that a machine whose speed drifts
slows both. Kernels for another processor are chosen by the variables of torch, MKL and oneDNN, which are handed on:
``ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.training.trainer import Trainer

HERE = Path(__file__).parents[2]


def batches(trainer: Trainer) -> Iterator[int]:
    """Train without end; yield after each portion its number of images."""
    while True:
        yield from trainer.train_steps()
        trainer.end_epoch()


def serve(name: str, settings: list[str], images: int) -> None:
    """Train so many images for every line of the standard input, and print the milliseconds a step."""
    import torch

    from zoo.cli._common import find_recipe
    from zoo.datasets import load_images
    from zoo.training.trainer import Trainer

    recipe = find_recipe(name, ["training.epochs=1000", *settings])
    trainer = Trainer(recipe, load_images(recipe.data, "train"), load_images(recipe.data, "test"), torch.device("cpu"))
    print(trainer.prepare(), flush=True)
    portions = batches(trainer)
    for _ in sys.stdin:
        trained, begin = 0, time.perf_counter()
        while trained < images:
            trained += next(portions)
        print(1000 * (time.perf_counter() - begin) / trained * trainer.sizes[0], flush=True)


class Side:
    """A checkout that trains whenever it is asked to."""

    def __init__(self, checkout: Path, name: str, images: int, settings: Sequence[str] = ()) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), name, "--serve", "--images", str(images)]
        self.process = subprocess.Popen(
            [*command, *(word for setting in settings for word in ("--set", setting))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
        )  # fmt: skip
        self.how = self._line()

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def milliseconds(self) -> float:
        """Train a portion; return the milliseconds a step."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._line())


def pair(sides: Sequence[Side], turns: int) -> tuple[float, ...]:
    """Return the milliseconds of both sides, medians of the turns, and the median of their ratios."""
    times = [[side.milliseconds() for side in sides] for _ in range(turns + 1)][1:]  # the first warms up
    for side in sides:
        side.process.kill()
    return *(median(column) for column in zip(*times, strict=True)), median(after / before for before, after in times)


def main() -> None:
    """Print a table: medians of the pairs of processes, and the range of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("names", nargs="+", help="the recipes")
    add("--against", type=Path, default=HERE, help="another checkout of the zoo (default: this one)")
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="a setting of this checkout's recipe")
    add("--pairs", type=int, default=5, help="processes of each, whose memory lies differently (default: %(default)s)")
    add("--turns", type=int, default=7, help="portions of each process (default: %(default)s)")
    add(
        "--images", type=int, default=12_800, help="images of a portion, a multiple of the batch (default: %(default)s)"
    )
    add("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.names[0], options.set, options.images)
        return
    print("| recipe | this one, ms a step | the other one | times as fast | lowest – highest |\n|---|--:|--:|--:|--:|")
    for name in options.names:
        pairs = []
        for number in range(options.pairs):
            sides = [
                Side(HERE, name, options.images, options.set),
                Side(options.against.resolve(), name, options.images),
            ]
            if not number:
                print(*(side.how for side in sides), sep="\n", file=sys.stderr)
            pairs.append(pair(sides, options.turns))
        ours, theirs, ratio = map(median, zip(*pairs, strict=True))
        ratios = [ratio for *_, ratio in pairs]
        spread = f"{min(ratios):.2f} – {max(ratios):.2f}"
        print(f"| `{name}` | {ours:.2f} | {theirs:.2f} | {ratio:.2f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
