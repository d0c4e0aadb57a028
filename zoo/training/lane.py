"""A run's own stream, random numbers and precision on a device that several runs share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from zoo.devices import random_state, set_random_state


class Lane:
    """Enter it for whatever a run does on the device: runs then neither wait for nor disturb one another.

    A run has its own random numbers everywhere. On CUDA, where captured graphs keep the generator's state that they
    were captured with, it also has its own stream and its own choice of TF32, and cuDNN repeats its bits.
    """

    def __init__(self, device: torch.device, precision: Literal["fp32", "tf32", "bf16"]) -> None:
        self.device = device
        self.tf32 = precision != "fp32"
        if device.type == "cuda":
            self.stream = torch.cuda.Stream(device)
            self.generator = torch.cuda.default_generators[device.index].clone_state()
        else:
            self.random = random_state(device)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Inside, everything is of this run."""
        with self.on_cuda() if self.device.type == "cuda" else self.with_own_numbers():
            yield

    @contextmanager
    def with_own_numbers(self) -> Iterator[None]:
        """The default generators go on where this run has left them."""
        others = random_state(self.device)
        set_random_state(self.device, self.random)
        try:
            yield
        finally:
            self.random = random_state(self.device)
            set_random_state(self.device, others)

    @contextmanager
    def on_cuda(self) -> Iterator[None]:
        """As :meth:`with_own_numbers`, for the device's generator; on this run's stream, with its precision."""
        shared = torch.cuda.default_generators[self.device.index]
        others = shared.graphsafe_get_state()
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic
        shared.graphsafe_set_state(self.generator)
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic = self.tf32, self.tf32, True
        try:
            with torch.cuda.device(self.device), torch.cuda.stream(self.stream):
                yield
        finally:
            shared.graphsafe_set_state(others)
            matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic = before
