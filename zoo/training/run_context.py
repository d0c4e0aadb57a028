"""Separate streams, random numbers and precision for runs that share a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

from zoo.system.cores import Threads
from zoo.system.lock import PROCESS_LOCK
from zoo.system.randomness import (
    CPU,
    Generators,
    State,
    drawing_from,
    random_state,
    seed_default_generators,
    set_random_state,
)


class RunContext:
    """Keeps one run apart from the others on a device, and from other threads. Enter :meth:`active` for whatever the
    run does there.

    Every run has its own random numbers. They come from torch's default generators, set to the run's state for a
    while, under the lock of the process; or, after :meth:`draw_from_own`, from a generator that nothing else has.

    On a CPU it also has its own number of threads, which stays set until another run takes its turn.

    On CUDA a run also has its own stream and its own choice of TF32, and cuDNN repeats its bits; captured graphs keep
    the state of the generator that they were captured with.

    Args:
        device: the device, with its index.
        precision: the precision of the recipe; ``"fp32"`` turns TF32 off.
        threads: the number of threads on a CPU.
    """

    def __init__(
        self, device: torch.device, precision: Literal["fp32", "tf32", "bf16"], threads: Threads | None = None
    ) -> None:
        self.device = device
        self.threads = threads or Threads(torch.get_num_threads())
        self.on_cuda = device.type == "cuda"
        self.tf32 = precision != "fp32"
        self.inside = False
        self.own: Generators | None = None
        if self.on_cuda:
            self.stream = torch.cuda.Stream(device)
            self.generator = torch.cuda.default_generators[device.index].clone_state()
        self.generator_device = CPU if self.on_cuda else device
        """The device whose generators are swapped by their state; CUDA's generator is swapped as a whole."""
        with PROCESS_LOCK:
            self.random = random_state(self.generator_device)

    def draw_from_own(self, own: bool) -> None:
        """Go on drawing, the same numbers, from a generator that only this run has, or from torch's default ones.

        On the CPU only, and only if nothing that the run calls draws from torch's default generators by itself.
        """
        if own and self.own is None:
            generator = torch.Generator(CPU)
            generator.set_state(self.random["cpu"])
            self.own = Generators(lambda device: generator)
        elif not own and self.own is not None:
            self.random, self.own = {"cpu": self.own.on(CPU).get_state()}, None

    @contextmanager
    def active(self) -> Iterator[None]:
        """While the context is active, random numbers, the CUDA stream and the TF32 flags are this run's."""
        if self.inside:
            yield
            return
        if self.device.type == "cpu" and torch.get_num_threads() != self.threads.number:
            torch.set_num_threads(self.threads.number)  # not put back each time: it makes a pool of threads anew
        with drawing_from(self.own) if self.own else self._default_generators():
            self.inside = True
            try:
                yield
            finally:
                self.inside = False

    @contextmanager
    def _default_generators(self) -> Iterator[None]:
        with PROCESS_LOCK, drawing_from(None):
            others = random_state(self.generator_device)
            set_random_state(self.generator_device, self.random)
            try:
                with self._stream() if self.on_cuda else nullcontext():
                    yield
            finally:
                self.random = random_state(self.generator_device)
                set_random_state(self.generator_device, others)

    def random_state(self) -> State:
        """Return the state of the generators that the run draws from, by kind of device."""
        if self.own:
            return {"cpu": self.own.on(CPU).get_state()}
        with self.active():
            return random_state(self.device)

    def seed(self, seed: int) -> None:
        """Go on from a seed."""
        if self.own:
            self.own.on(CPU).manual_seed(seed)
            return
        with self.active():
            seed_default_generators(seed, self.device)

    def set_random_state(self, state: State) -> None:
        """Go on from a state that :meth:`random_state` has returned."""
        if self.own:
            self.own.on(CPU).set_state(state["cpu"].clone())
            return
        with self.active():
            set_random_state(self.device, state)

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
        """Take a new generator; after a failed capture the old one may refuse to continue."""
        if self.on_cuda:
            self.generator = torch.Generator(self.device)
            if self.inside:
                torch.cuda.default_generators[self.device.index].graphsafe_set_state(self.generator)

    def disable_tf32(self) -> None:
        """Compute without TF32 from now on."""
        self.tf32 = False
