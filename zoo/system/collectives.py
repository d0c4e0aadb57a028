"""Collectives among the processes that train one model together."""

from __future__ import annotations

import re

import torch.distributed as dist
from torch import Tensor

from zoo.errors import ZooError, first_line


class LostProcess(ZooError):
    """Another process of the run has died or cannot be reached."""


def several() -> bool:
    """Return whether several processes train together, so that collectives can be called."""
    return dist.is_available() and dist.is_initialized()


def all_reduce(tensor: Tensor, operation: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> None:
    """Replace every process's tensor by the sum over the processes, or by the result of another ``operation``.

    Raises:
        LostProcess: another process is gone.
    """
    try:
        dist.all_reduce(tensor, operation)
    except RuntimeError as error:
        raise lost(error) from error


def broadcast(tensor: Tensor) -> None:
    """Replace every process's tensor by that of the first process.

    Raises:
        LostProcess: another process is gone.
    """
    try:
        dist.broadcast(tensor, 0)
    except RuntimeError as error:
        raise lost(error) from error


def lost(error: RuntimeError) -> LostProcess:
    """Return the error that a failed collective means."""
    reason = re.sub(r"^\[\S* ", "", first_line(error)).split(". ")[0]  # without the library's source line
    return LostProcess(f"another process of this run is gone or cannot be reached ({reason})")
