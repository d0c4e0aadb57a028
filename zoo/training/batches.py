"""The batches of an epoch, on the device."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from zoo.datasets import ImageSet
from zoo.system.prefetch import prefetch
from zoo.training.distributed import SINGLE_PROCESS, ProcessGroup

Batch = tuple[Tensor, Tensor | None]
"""Images, uint8 (B, C, H, W), and labels, int64 (B,), where there are any."""


def batch_sizes(images: int, size: int, least: int = 2) -> list[int]:
    """Return the sizes of an epoch's batches: the last holds what is left, or the one before it, where that is too few.

    ``least`` is 2 because BatchNorm cannot normalise one image.
    """
    sizes = [size] * (images // size)
    rest = images % size
    if not rest:
        return sizes
    if sizes and rest < least:
        return [*sizes[:-1], size + rest]
    return [*sizes, rest]


def equal_batches(sizes: list[int], max_steps: int) -> Iterator[tuple[int, int]]:
    """Yield runs of equal batch sizes, cut to at most ``max_steps`` steps: (steps, images in each)."""
    while sizes:
        steps = next((n for n, size in enumerate(sizes) if size != sizes[0]), len(sizes))
        steps = min(steps, max_steps)
        yield steps, sizes[0]
        sizes = sizes[steps:]


class DeviceLoader:
    """Images on the device; a batch is gathered there, as part of the step.

    Args:
        data: the images, and labels if the model is conditional on them; on the device.
        size: images in a batch.
        group: the processes that share each batch.
    """

    steps_at_once = True
    """Whether several steps can follow one another without the host."""

    def __init__(self, data: ImageSet, size: int, group: ProcessGroup = SINGLE_PROCESS) -> None:
        self.data = data
        self.size = size
        images = data.images
        # Longer than an epoch, because steps that only warm up do not stop at its end.
        self.order = torch.zeros(len(images) + 2 * size, dtype=torch.int64, device=images.device)
        self.offsets = torch.arange(group.rank, 2 * size, group.size, device=images.device)

    def start(self, order: Tensor, skip: int) -> None:
        """Begin an epoch; ``skip`` steps of it are done."""
        self.order[: len(order)].copy_(order)

    def next(self) -> None:
        """Do nothing: the following batch is there already."""

    def batch(self, position: Tensor, images: int) -> Batch:
        """Return this process's share, ``images`` images, of the batch at this step (a scalar) of the epoch."""
        return select(self.data, self.order[position * self.size + self.offsets[:images]])


class StreamingLoader:
    """Images that do not fit on the device: each batch is copied into one place there, the next one read meanwhile.

    Args:
        data: the images, and labels if the model is conditional on them; anywhere.
        size: images in a batch.
        device: where the batches go.
        group: the processes that share each batch.
    """

    steps_at_once = False

    def __init__(self, data: ImageSet, size: int, device: torch.device, group: ProcessGroup = SINGLE_PROCESS) -> None:
        self.data = data
        self.size = size
        self.group = group
        self.images = torch.zeros(2 * size, *data.images.shape[1:], dtype=torch.uint8, device=device)
        self.labels = None if data.labels is None else torch.zeros(2 * size, dtype=torch.int64, device=device)
        self.batches: Iterator[Batch] = iter(())

    def start(self, order: Tensor, skip: int) -> None:
        """Begin an epoch; ``skip`` steps of it are done."""
        sizes = batch_sizes(len(order), self.size, 2 * self.group.size)
        parts = order.split(sizes)[skip:]
        batches = (select(self.data, part[self.group.rank :: self.group.size]) for part in parts)
        self.batches = prefetch(pinned(batches) if self.images.is_cuda else batches)

    def next(self) -> None:
        """Copy the following batch to the device; after the last one, that stays."""
        batch = next(self.batches, None)
        for place, part in zip((self.images, self.labels), batch or (), strict=False):
            if place is not None and part is not None:
                place[: len(part)].copy_(part, non_blocking=True)

    def batch(self, position: Tensor, images: int) -> Batch:
        """Return the batch that :meth:`next` has brought."""
        return self.images[:images], None if self.labels is None else self.labels[:images]


ON_DEVICE: WeakValueDictionary[tuple[str, torch.device], Tensor] = WeakValueDictionary()
"""Images that are on a device, as long as a run uses them: runs on the same images share them."""


def to_device_if_it_fits(data: ImageSet, device: torch.device) -> ImageSet:
    """Return the images on the device if they fit into half its free memory, else as they are, to be streamed."""
    images = data.images
    if device.type == "cpu":
        return data
    resident = ON_DEVICE.get((data.digest, device))
    if resident is None:
        if device.type == "cuda" and images.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
            return data
        resident = ON_DEVICE[data.digest, device] = images.to(device)
    return ImageSet(resident, None if data.labels is None else data.labels.to(device))


def select(data: ImageSet, chosen: Tensor) -> Batch:
    """Return the images at these indices, with their labels."""
    return data.images[chosen], None if data.labels is None else data.labels[chosen]


def pinned(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the batches in pinned memory, from which a GPU copies without waiting."""
    for images, labels in batches:
        yield images.pin_memory(), None if labels is None else labels.pin_memory()
