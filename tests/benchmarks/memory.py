"""The memory that a contestant takes at its peak.

On CUDA torch's allocator counts it, from the contestant's first tensor on: a captured graph takes its memory at its
capture and is not seen to take any later. On a CPU the system counts it per process, so each contestant trains one
epoch in a process of its own, which this file is when it is run: an entrant as JSON comes in on stdin, a number of
bytes goes out. It is the highest resident memory of that epoch and of what the contestant set up before it, above what
was resident once the libraries were imported and the images loaded. Processes that read images for a DataLoader are
not counted.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import torch

from tests.benchmarks.contestants import Entrant
from zoo.datasets import load_images
from zoo.errors import ZooError
from zoo.schema.recipe import parse_recipe

ROOT = Path(__file__).resolve().parent.parent.parent
PROCESS = Path("/proc/self")


class CudaMemory:
    """The most that one contestant takes on a CUDA device where others hold memory too; counts nothing elsewhere."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.held = 0
        """Bytes between its turns."""
        self.peak = 0
        """Bytes at the highest."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Around whatever the contestant does."""
        if self.device.type != "cuda":
            yield
            return
        others = torch.cuda.memory_allocated(self.device) - self.held
        torch.cuda.reset_peak_memory_stats(self.device)
        yield
        self.held = torch.cuda.memory_allocated(self.device) - others
        self.peak = max(self.peak, torch.cuda.max_memory_allocated(self.device) - others)


def peak_bytes(entrant: Entrant) -> int | None:
    """Return the peak memory of one epoch on the CPU, in bytes; None where the system is not Linux.

    Raises:
        ZooError: the process has failed.
    """
    if not (PROCESS / "clear_refs").exists():
        return None
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.memory"],
        input=entrant.model_dump_json(), capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    if done.returncode:
        raise ZooError(f"{entrant.label}: its memory could not be measured:\n{done.stderr.strip()}")
    return int(done.stdout.split()[-1])


def measure(entrant: Entrant) -> int:
    """Measure what :func:`peak_bytes` returns, in this process."""
    recipe = parse_recipe(entrant.recipe)
    train, test = load_images(recipe.data, "train"), load_images(recipe.data, "test")
    for module in ("reference_loop", "pythae_loop", "jax_loop", "ours"):
        with suppress(ModuleNotFoundError):  # pythae or jax may be missing
            import_module(f"tests.benchmarks.{module}")
    (PROCESS / "clear_refs").write_text("5")  # from here on the system notes a new peak: proc(5)
    before = resident("VmRSS")
    entrant.build(train, test, torch.device("cpu")).train_epoch()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """Bytes: ``VmRSS`` now, or ``VmHWM`` at the peak."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", (PROCESS / "status").read_text(), re.MULTILINE)
    assert found
    return 1024 * int(found[1])


if __name__ == "__main__":
    print(measure(Entrant.model_validate_json(sys.stdin.read())))
