"""The choice of a device, and what it is."""

from __future__ import annotations

import torch

from zoo.errors import ZooError, first_line
from zoo.system.randomness import isolated_randomness as isolated_randomness


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


def widest_float(device: torch.device) -> torch.dtype:
    """Return the widest float that a device can sum in: MPS has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64
