"""Several processes that train one model together, as ``torchrun`` starts them.

Each takes its own share of every batch. Gradients are summed in one collective per step, weighted by the size of the
share, so the step is that of the whole batch. The first process (rank 0) writes everything.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.errors import ZooError
from zoo.system.collectives import all_reduce
from zoo.system.seeds import mixed_seed


class ProcessGroup:
    """The processes that train one model together; with one process, every method returns its argument.

    Args:
        rank: the 0-based number of this process.
        size: the number of processes.

    Raises:
        LostProcess: from every method, when another process is gone.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    def share(self, images: int) -> int:
        """Return the number of a batch's ``images`` that this process takes."""
        return len(range(self.rank, images, self.size))

    def summed(self, tensors: Sequence[Tensor], weight: float = 1.0) -> list[Tensor]:
        """Return each tensor times ``weight``, summed over the processes; all tensors have one dtype."""
        if self.size == 1:
            return list(tensors)
        flat = torch.cat([tensor.flatten() for tensor in tensors]) * weight
        all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        return [part.view(tensor.shape) for tensor, part in zip(tensors, parts, strict=True)]

    def largest(self, value: int, device: torch.device) -> int:
        """Return the largest of the processes' values."""
        if self.size == 1:
            return value
        maximum = torch.tensor(value, device=device)
        all_reduce(maximum, dist.ReduceOp.MAX)
        return int(maximum)

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all processes, by rank."""
        if self.size == 1:
            return [tensor]
        gathered = tensor.new_zeros(self.size, *tensor.shape)
        gathered[self.rank] = tensor
        all_reduce(gathered)
        return [part.clone() for part in gathered]


SINGLE_PROCESS = ProcessGroup()


def noise_seed(seed: int, rank: int) -> int:
    """Return one process's seed for its noise, from the recipe's ``seed``; torch's CPU generator uses 32 bits of it."""
    return mixed_seed(seed, rank)


def launched() -> bool:
    """Return whether ``torchrun`` has started several processes."""
    return _number("WORLD_SIZE", 1) > 1


def _number(name: str, otherwise: int | None = None) -> int:
    """Return a number that ``torchrun`` has put into the environment.

    Raises:
        ZooError: it is missing, or no number.
    """
    text = os.environ.get(name) or ("" if otherwise is None else str(otherwise))
    if not text.isdecimal():
        what = f"{name} is {text!r}, which is no number" if text else f"WORLD_SIZE is set, but {name} is not"
        raise ZooError(f"{what}; start several processes with torchrun, or unset WORLD_SIZE")
    return int(text)


def local_device(name: str) -> str:
    """Return the name of this process's GPU if the user asked for any GPU, else ``name``.

    Raises:
        ZooError: one GPU is named for several processes.
    """
    if launched() and name.startswith("cuda:"):
        raise ZooError(f"every process of torchrun would use {name}; with --device cuda each takes a GPU of its own")
    if launched() and name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{_number('LOCAL_RANK') % torch.cuda.device_count()}"
    return name


@contextmanager
def joined(device: torch.device) -> Iterator[ProcessGroup]:
    """Join the processes that ``torchrun`` describes in the environment, if any, and yield the group.

    Raises:
        ZooError: the environment describes them in part only.
    """
    if not launched():
        yield SINGLE_PROCESS
        return
    for name in ("RANK", "MASTER_PORT"):
        _number(name)
    if not os.environ.get("MASTER_ADDR"):
        raise ZooError("WORLD_SIZE is set, but MASTER_ADDR is not; start several processes with torchrun, or unset it")
    with ended_by_signals():
        if device.type == "cuda" and _number("LOCAL_WORLD_SIZE") <= torch.cuda.device_count():
            dist.init_process_group("nccl", device_id=device)
        else:  # NCCL needs a GPU for each process
            dist.init_process_group("gloo")
    try:
        yield ProcessGroup(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process at once while the context is active, in which Python would see neither."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
