"""The choice of a device, and the state of its random number generators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from zoo.errors import ZooError, first_line


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of this name; ``auto`` stands for CUDA if available, else Apple's MPS, else the CPU.

    Raises:
        ZooError: this machine has no such device, or the zoo does not run on it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        if torch.device(name).type not in ("cpu", "cuda", "mps"):
            raise RuntimeError("not one of the kinds that the zoo runs on")
        return torch.empty(1, device=name).device  # "cuda" becomes "cuda:0"
    except (RuntimeError, AssertionError) as error:
        raise ZooError(
            f"no device {name!r} here ({first_line(error)}); use --device auto, cpu, cuda, cuda:N or mps"
        ) from error


def describe(device: torch.device) -> str:
    """Return the name of the device's hardware, for the card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"{cpu_name()}, {threads} thread{'s' if threads > 1 else ''}"
    return str(device)


def cpu_name() -> str:
    """Return the processor's model name as the system reports it."""
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of every generator that a run on ``device`` draws from, by kind of device."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(device: torch.device, state: dict[str, Tensor]) -> None:
    """Restore a state that :func:`random_state` has returned."""
    torch.set_rng_state(state["cpu"].clone())  # a copy is aligned; torch crashes on part of a larger tensor
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    if "mps" in state:
        torch.mps.set_rng_state(state["mps"])


@contextmanager
def isolated_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Start random numbers from ``seed`` in the context; afterwards they continue as if none had been drawn."""
    state = random_state(device)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        set_random_state(device, state)


def widest_float(device: torch.device) -> torch.dtype:
    """Return the widest float that a device can sum in: MPS has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64
