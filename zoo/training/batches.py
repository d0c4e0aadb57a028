"""The batches of an epoch, on the device."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from zoo.datasets import ImageSet
from zoo.system.mapped_images import MappedImages, plain, stay_in_file
from zoo.system.prefetch import prefetch
from zoo.training.distributed import SINGLE_PROCESS, ProcessGroup

Batch = tuple[Tensor, Tensor | None]
"""The images of a batch, uint8 (B, C, H, W), and their labels, int64 (B,), or None where there are none."""


def batch_sizes(images: int, size: int, least: int = 2) -> list[int]:
    """Return the sizes of an epoch's batches.

    The remainder of the division is the last batch; a remainder below ``least`` joins the batch before it. ``least`` is
    2 because BatchNorm cannot normalise one image.
    """
    sizes = [size] * (images // size)
    remainder = images % size
    if not remainder:
        return sizes
    if sizes and remainder < least:
        return [*sizes[:-1], size + remainder]
    return [*sizes, remainder]


def equal_batches(sizes: list[int], max_steps: int) -> Iterator[tuple[int, int]]:
    """Yield runs of equal batch sizes, each of at most ``max_steps`` steps, as (steps, images in each step)."""
    while sizes:
        steps = next((n for n, size in enumerate(sizes) if size != sizes[0]), len(sizes))
        steps = min(steps, max_steps)
        yield steps, sizes[0]
        sizes = sizes[steps:]


class DeviceLoader:
    """Gathers batches from images that are on the device, as part of the step.

    Args:
        data: the images on the device, with labels if the model is conditional.
        size: images in a batch.
        group: the processes that share each batch.
    """

    steps_at_once = True
    """True if several steps can follow one another without the host in between."""

    def __init__(self, data: ImageSet, size: int, group: ProcessGroup = SINGLE_PROCESS) -> None:
        self.data = data
        self.size = size
        images = data.images
        # Longer than an epoch, because warm-up steps may run past the end of one.
        self.order = torch.zeros(len(images) + 2 * size, dtype=torch.int64, device=images.device)
        self.offsets = torch.arange(group.rank, 2 * size, group.size, device=images.device)

    def start(self, order: Tensor, skip: int) -> None:
        """Begin an epoch whose images come in ``order``, int64 (N,); its first ``skip`` steps are done already."""
        self.order[: len(order)].copy_(order)

    def next(self) -> None:
        """Do nothing: the next batch is gathered by the step itself."""

    def batch(self, position: Tensor, images: int) -> Batch:
        """Return this process's share of a batch.

        Args:
            position: the 0-based step within the epoch, a scalar on the device.
            images: images in the share.
        """
        return select(self.data, self.order[position * self.size + self.offsets[:images]])


class StreamingLoader:
    """Copies batches of images that do not fit on the device into one buffer there, while the next batch is read.

    The device may be the CPU, whose images are then in a file.

    Args:
        data: the images on any device, with labels if the model is conditional.
        size: images in a batch.
        device: the device that the batches are copied to.
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
        """Begin an epoch whose images come in ``order``, int64 (N,); its first ``skip`` steps are done already."""
        sizes = batch_sizes(len(order), self.size, 2 * self.group.size)
        parts = order.split(sizes)[skip:]
        batches = (select(self.data, part[self.group.rank :: self.group.size]) for part in parts)
        self.batches = prefetch(pinned(batches) if self.images.is_cuda else batches)

    def next(self) -> None:
        """Copy the next batch to the device; the last one of an epoch stays there."""
        batch = next(self.batches, None)
        for buffer, part in zip((self.images, self.labels), batch or (), strict=False):
            if buffer is not None and part is not None:
                buffer[: len(part)].copy_(part, non_blocking=True)

    def batch(self, position: Tensor, images: int) -> Batch:
        """Return the first ``images`` images that :meth:`next` has copied; the position is not needed here."""
        return self.images[:images], None if self.labels is None else self.labels[:images]


def loader_of(
    data: ImageSet, size: int, device: torch.device, group: ProcessGroup = SINGLE_PROCESS
) -> DeviceLoader | StreamingLoader:
    """Return the loader for images where :func:`to_device_if_it_fits` has left them; see :class:`StreamingLoader`."""
    if data.images.device != device or isinstance(data.images, MappedImages):
        return StreamingLoader(data, size, device, group)
    return DeviceLoader(data, size, group)


ON_DEVICE: WeakValueDictionary[tuple[str, torch.device], Tensor] = WeakValueDictionary()
"""Images that runs have put on a device, by digest and device; runs on the same images share them."""


def to_device_if_it_fits(data: ImageSet, device: torch.device) -> ImageSet:
    """Return the images on the device if they fit into half its free memory, else unchanged, to be streamed."""
    images = data.images
    if device.type == "cpu" and not isinstance(images, MappedImages):
        return data
    resident = ON_DEVICE.get((data.digest, device))
    if resident is None:
        if device.type == "cuda" and images.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
            return data
        if device.type == "cpu" and stay_in_file(images):
            return data
        resident = ON_DEVICE[data.digest, device] = plain(images).to(device)
    return ImageSet(resident, None if data.labels is None else data.labels.to(device))


def select(data: ImageSet, indices: Tensor) -> Batch:
    """Return the images at these indices, int64 (B,), with their labels."""
    return data.images[indices], None if data.labels is None else data.labels[indices]


def pinned(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the batches in pinned memory, from which a GPU copies without waiting."""
    for images, labels in batches:
        yield images.pin_memory(), None if labels is None else labels.pin_memory()
