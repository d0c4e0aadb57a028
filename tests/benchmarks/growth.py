"""How the cost of an epoch grows with the batch, with the image, and with the number of models trained at once.

Smaller than the main comparison, and without test losses: a few dozen steps teach nothing, they only take time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from tests.benchmarks import digits  # registers the dataset  # noqa: F401
from tests.benchmarks.contestants import ours, reference
from tests.benchmarks.race import race
from tests.benchmarks.records import Axis, Race
from zoo.cli._common import find_recipe
from zoo.schema.recipe import Recipe

ENTRIES = ("linear_vae_mnist", "conv_vae_mnist")
BATCHES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
SIDES = (28, 32, 64, 128)
AT_ONCE = (1, 2, 4, 8, 16)

IMAGES: dict[Axis, int] = {"batch": 16_384, "side": 4_096, "at_once": 16_384}
"""In an epoch: whole batches of every size."""

REPETITIONS = 3


def growth(
    axis: Axis, execution: Sequence[str], device: torch.device, repetitions: int, images: int | None = None
) -> Iterator[Race]:
    """One race per point, yielded as soon as it is over.

    Args:
        axis: what grows.
        execution: overrides for the zoo's own trainer.
        device: where.
        repetitions: timed epochs, at most :data:`REPETITIONS`.
        images: in an epoch, if fewer than :data:`IMAGES`.
    """
    count = min(IMAGES[axis], images or IMAGES[axis])
    small = [f"data.train_images={count}", "data.test_images=100"]
    for entry, settings in points(axis):
        recipe: Recipe = find_recipe(entry, [*small, *settings])
        mine = find_recipe(entry, [*small, *settings, *execution])
        sizes = AT_ONCE if axis == "at_once" else (1,)
        entrants = [
            *reference(recipe),
            *(ours(mine, label=f"ours, {n} at once" if n > 1 else "ours", models=n, like=recipe) for n in sizes),
        ]
        print(f"{axis}: {' '.join([entry, *settings])}", flush=True)
        yield race(recipe, entrants, device, min(REPETITIONS, repetitions), speed_only=True)


def points(axis: Axis) -> Iterator[tuple[str, list[str]]]:
    """Entries and the overrides that make them grow."""
    if axis == "batch":
        yield from ((entry, [f"training.batch_size={size}"]) for entry in ENTRIES for size in BATCHES)
    elif axis == "side":
        for entry in ENTRIES:
            yield from ((entry, ["data.name=digits_of_side", f"data.side={side}"]) for side in SIDES)
    else:
        yield ENTRIES[0], []
