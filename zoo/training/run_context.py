"""A run's own stream, random numbers and precision on a device that several runs share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

from zoo.system.devices import random_state, set_random_state


class RunContext:
    """Enter it for whatever a run does on the device: runs then neither wait for nor disturb one another.

    A run has its own random numbers everywhere. On CUDA, where captured graphs keep the generator's state that they
    were captured with, it also has its own stream and its own choice of TF32, and cuDNN repeats its bits.
    """

    def __init__(self, device: torch.device, precision: Literal["fp32", "tf32", "bf16"]) -> None:
        self.device = device
        self.on_cuda = device.type == "cuda"
        self.tf32 = precision != "fp32"
        self.inside = False
        if self.on_cuda:
            self.stream = torch.cuda.Stream(device)
            self.generator = torch.cuda.default_generators[device.index].clone_state()
        self.kept = torch.device("cpu") if self.on_cuda else device
        self.random = random_state(self.kept)

    @contextmanager
    def active(self) -> Iterator[None]:
        """While the context is active, the default generators, the CUDA stream and the TF32 flags are this run's."""
        if self.inside:
            yield
            return
        self.inside = True
        others = random_state(self.kept)
        set_random_state(self.kept, self.random)
        try:
            with self._stream() if self.on_cuda else nullcontext():
                yield
        finally:
            self.random = random_state(self.kept)
            set_random_state(self.kept, others)
            self.inside = False

    @contextmanager
    def _stream(self) -> Iterator[None]:
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

    def reset_generator(self) -> None:
        """Take another generator, inside the context: one with which a capture has failed may refuse to go on."""
        if self.on_cuda:
            self.generator = torch.Generator(self.device)
            torch.cuda.default_generators[self.device.index].graphsafe_set_state(self.generator)

    def disable_tf32(self) -> None:
        """Compute without TF32 from now on."""
        self.tf32 = False
