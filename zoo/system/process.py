"""Switches of torch that belong to the whole process, set for a while and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from zoo.system.lock import PROCESS_LOCK


@contextmanager
def initial_weights() -> Iterator[None]:
    """Make weights in float32, whatever the program around has set as torch's default, while no other thread draws."""
    with PROCESS_LOCK:
        default = torch.get_default_dtype()
        if default is torch.float32:
            yield
            return
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(default)


@contextmanager
def cpu_by_default() -> Iterator[None]:
    """Make tensors on the CPU where nothing else is said, whatever default device the program around has set."""
    if torch.get_default_device().type == "cpu":  # entered needlessly, it would slow every call of torch
        yield
        return
    with torch.device("cpu"):
        yield


@contextmanager
def threads_put_back() -> Iterator[None]:
    """Put torch's number of threads back at the end of the context."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


@contextmanager
def training_modes(device: torch.device) -> Iterator[None]:
    """Let gradients flow and precision, threads and devices be the recipe's, whatever the program around has set."""
    with (
        threads_put_back(),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        cpu_by_default(),
    ):
        yield
