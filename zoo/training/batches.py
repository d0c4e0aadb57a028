"""The order of the images, and the batches in that order, on the device."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """The permutation of one epoch: int64 (N,). A function of its arguments alone: a resumed run needs no state."""
    mixed = int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0])
    return torch.randperm(images, generator=torch.Generator().manual_seed(mixed % 2**63))


def place(images: Tensor, device: torch.device) -> Tensor:
    """The images on the device where they fit into half its free memory, else where they are, to be streamed."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return images if images.nbytes > free // 2 else images.to(device)
    return images.to(device)


def cut(order: Tensor, size: int) -> list[Tensor]:
    """An epoch's order in parts of ``size``; the last has what is left, and a single image joins the part before it."""
    parts = list(order.split(size))
    if size > 1 and len(parts) > 1 and len(parts[-1]) == 1:  # BatchNorm cannot normalise one image
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def batches(images: Tensor, order: Tensor, size: int, device: torch.device, skip: int = 0) -> Iterator[Tensor]:
    """uint8 batches (B, C, H, W) on the device, in the given order, without the first ``skip``.

    Images that are on the device are gathered there; others are streamed to it.
    """
    gathered = (images[part] for part in cut(order.to(images.device), size)[skip:])
    return gathered if images.device == device else streamed(gathered, device)


def streamed(gathered: Iterator[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Batches copied to the device while a second thread gathers the next one."""

    def fetch() -> Tensor | None:
        batch = next(gathered, None)
        return batch.pin_memory() if batch is not None and device.type == "cuda" else batch

    with ThreadPoolExecutor(max_workers=1) as ahead:
        following = ahead.submit(fetch)
        while (batch := following.result()) is not None:
            following = ahead.submit(fetch)
            yield batch.to(device, non_blocking=True)
