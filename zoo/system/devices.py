"""The choice of a device, and what it is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from zoo.errors import ZooError, first_line
from zoo.system.randomness import isolated_randomness as isolated_randomness


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of this name; ``auto`` stands for CUDA if available, else Apple's MPS, else the CPU.

    Raises:
        ZooError: this machine has no such device, or the zoo does not run on it.
    """
    if name == "auto":
        name = "cuda" if cuda_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        if torch.device(name).type not in ("cpu", "cuda", "mps"):
            raise RuntimeError("not one of the kinds that the zoo runs on")
        return torch.empty(1, device=name).device  # "cuda" becomes "cuda:0"
    except (RuntimeError, AssertionError) as error:
        reason, remedy = first_line(error), "use --device auto, cpu, cuda, cuda:N or mps"
        if OLD_DRIVER in reason:
            reason, remedy = OLD_DRIVER_FOUND, f"{OLD_DRIVER_REMEDY}, or use --device cpu"
        elif name.startswith("mps"):
            reason = "this torch has no MPS, which is for Macs with Apple silicon"
        elif name.startswith("cuda:") and cuda_available():
            count = torch.cuda.device_count()
            there = "cuda:0 is the only GPU" if count == 1 else f"there are cuda:0 to cuda:{count - 1}"
            reason, remedy = there, "use one of these, or --device cuda"
        raise ZooError(f"no device {name!r} here ({reason}); {remedy}") from error


OLD_DRIVER = "driver on your system is too old"
OLD_DRIVER_FOUND = f"the NVIDIA driver is too old for torch {torch.__version__}"
OLD_DRIVER_REMEDY = "update the driver, or install a torch that is built for it (pytorch.org/get-started)"


def cuda_available() -> bool:
    """Return whether CUDA can be used, with one line of warning where a driver too old is the reason that it cannot."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    for warning in caught:
        if OLD_DRIVER in str(warning.message):
            warnings.warn(f"no GPU is used: {OLD_DRIVER_FOUND}; {OLD_DRIVER_REMEDY}", stacklevel=3)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return available


@contextmanager
def without_tf32() -> Iterator[None]:
    """Compute matrix products and convolutions on CUDA in 32 bits while the context is active."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


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
