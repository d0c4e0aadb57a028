"""The order of the images, and the batches in that order, on the device."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from zoo.data import ImageSet
from zoo.training.distributed import SOLO, World

Batch = tuple[Tensor, Tensor | None]
"""Images, uint8 (B, C, H, W), and labels, int64 (B,), where there are any."""


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """The permutation of one epoch: int64 (N,). A function of its arguments alone: a resumed run needs no state."""
    mixed = int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0])
    return torch.randperm(images, generator=torch.Generator().manual_seed(mixed % 2**63))


def batch_sizes(images: int, size: int, least: int = 2) -> list[int]:
    """The sizes of an epoch's batches: the last takes what is left, or the batch before it does where that is too few.

    ``least`` is 2 because BatchNorm cannot normalise one image.
    """
    sizes = [size] * (images // size)
    rest = images % size
    if not rest:
        return sizes
    if sizes and rest < least:
        return [*sizes[:-1], size + rest]
    return [*sizes, rest]


def portions(sizes: list[int], most: int) -> Iterator[tuple[int, int]]:
    """Runs of equal batch sizes, cut to at most so many steps: (steps, images in each)."""
    while sizes:
        steps = next((n for n, size in enumerate(sizes) if size != sizes[0]), len(sizes))
        steps = min(steps, most)
        yield steps, sizes[0]
        sizes = sizes[steps:]


class Resident:
    """Images on the device; a batch is gathered there, as part of the step.

    Args:
        data: the images, and labels if the model is conditional on them; on the device.
        size: of a batch.
        world: of each batch this process takes its own share.
    """

    steps_at_once = True
    """Whether several steps can follow one another without the host."""

    def __init__(self, data: ImageSet, size: int, world: World = SOLO) -> None:
        self.data = data
        self.size = size
        images = data.images
        # Longer than an epoch, because steps that only warm up do not stop at its end.
        self.order = torch.zeros(len(images) + 2 * size, dtype=torch.int64, device=images.device)
        self.offsets = torch.arange(world.rank, 2 * size, world.size, device=images.device)

    def start(self, order: Tensor, skip: int) -> None:
        """Begin an epoch; ``skip`` steps of it are done."""
        self.order[: len(order)].copy_(order)

    def next(self) -> None:
        """Make the following batch ready; here it is."""

    def batch(self, position: Tensor, images: int) -> Batch:
        """The share of ``images`` images in the batch at this step (a scalar) of the epoch."""
        return taken(self.data, self.order[position * self.size + self.offsets[:images]])


class Streamed:
    """Images that do not fit on the device: each batch is copied into one place there, the next one read meanwhile.

    Args:
        data: the images, and labels if the model is conditional on them; anywhere.
        size: of a batch.
        device: where the batches go.
        world: of each batch this process takes its own share.
    """

    steps_at_once = False

    def __init__(self, data: ImageSet, size: int, device: torch.device, world: World = SOLO) -> None:
        self.data = data
        self.size = size
        self.world = world
        self.images = torch.zeros(2 * size, *data.images.shape[1:], dtype=torch.uint8, device=device)
        self.labels = None if data.labels is None else torch.zeros(2 * size, dtype=torch.int64, device=device)
        self.batches: Iterator[Batch] = iter(())

    def start(self, order: Tensor, skip: int) -> None:
        """Begin an epoch; ``skip`` steps of it are done."""
        sizes = batch_sizes(len(order), self.size, 2 * self.world.size)
        parts = order.split(sizes)[skip:]
        self.batches = ahead(
            (taken(self.data, part[self.world.rank :: self.world.size]) for part in parts), pinned=self.images.is_cuda
        )

    def next(self) -> None:
        """Copy the following batch to the device; after the last one, that stays."""
        batch = next(self.batches, None)
        for place, part in zip((self.images, self.labels), batch or (), strict=False):
            if place is not None and part is not None:
                place[: len(part)].copy_(part, non_blocking=True)

    def batch(self, position: Tensor, images: int) -> Batch:
        """The batch that :meth:`next` has brought."""
        return self.images[:images], None if self.labels is None else self.labels[:images]


PLACED: WeakValueDictionary[tuple[str, torch.device], Tensor] = WeakValueDictionary()
"""Images on a device, as long as a run uses them: runs on the same images share them."""


def place(data: ImageSet, device: torch.device) -> ImageSet:
    """The images on the device where they fit into half its free memory, else where they are, to be streamed."""
    images = data.images
    if device.type == "cpu":
        return data
    found = PLACED.get((data.digest, device))
    if found is None:
        if device.type == "cuda" and images.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
            return data
        found = PLACED[data.digest, device] = images.to(device)
    return ImageSet(found, None if data.labels is None else data.labels.to(device))


def taken(data: ImageSet, chosen: Tensor) -> Batch:
    """The images at these indices, with their labels."""
    return data.images[chosen], None if data.labels is None else data.labels[chosen]


def ahead(batches: Iterator[Batch], pinned: bool) -> Iterator[Batch]:
    """The batches, each read by a second thread while the one before it is in use."""

    def fetch() -> Batch | None:
        batch = next(batches, None)
        if batch is None or not pinned:
            return batch
        images, labels = batch
        return images.pin_memory(), None if labels is None else labels.pin_memory()

    thread = ThreadPoolExecutor(max_workers=1)
    try:
        following = thread.submit(fetch)
        while (batch := following.result()) is not None:
            following = thread.submit(fetch)
            yield batch
    finally:
        thread.shutdown(wait=False)  # an epoch left half-way may be collected in that very thread
