"""Separate streams, random numbers and precision for runs that share a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

from zoo.system.devices import random_state, set_random_state


class RunContext:
    """Keeps one run apart from the others on a device. Enter :meth:`active` for whatever the run does there.

    Every run has its own random numbers. On CUDA it also has its own stream and its own choice of TF32, and cuDNN
    repeats its bits; captured graphs keep the state of the generator that they were captured with.

    Args:
        device: the device, with its index.
        precision: the precision of the recipe; ``"fp32"`` turns TF32 off.
    """

    def __init__(self, device: torch.device, precision: Literal["fp32", "tf32", "bf16"]) -> None:
        self.device = device
        self.on_cuda = device.type == "cuda"
        self.tf32 = precision != "fp32"
        self.inside = False
        if self.on_cuda:
            self.stream = torch.cuda.Stream(device)
            self.generator = torch.cuda.default_generators[device.index].clone_state()
        self.generator_device = torch.device("cpu") if self.on_cuda else device
        """The device whose generators are swapped by their state; CUDA's generator is swapped as a whole."""
        self.random = random_state(self.generator_device)

    @contextmanager
    def active(self) -> Iterator[None]:
        """While the context is active, the default generators, the CUDA stream and the TF32 flags are this run's."""
        if self.inside:
            yield
            return
        self.inside = True
        others = random_state(self.generator_device)
        set_random_state(self.generator_device, self.random)
        try:
            with self._stream() if self.on_cuda else nullcontext():
                yield
        finally:
            self.random = random_state(self.generator_device)
            set_random_state(self.generator_device, others)
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
        """Take a new generator, inside the context; after a failed capture the old one may refuse to continue."""
        if self.on_cuda:
            self.generator = torch.Generator(self.device)
            torch.cuda.default_generators[self.device.index].graphsafe_set_state(self.generator)

    def disable_tf32(self) -> None:
        """Compute without TF32 from now on."""
        self.tf32 = False
