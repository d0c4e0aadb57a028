"""Memory: how much this machine has, and the many errors that say that it has no more."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import ZooError
from zoo.system.control_groups import MEMBERSHIP, ROOT, own_groups

WORDS = re.compile(
    r"can(no|')t allocate memory|out of memory|not enough memory|unable to allocate|memory allocation|bad_alloc|"
    r"failed to map segment|can't start new thread|thread creation failed|resource temporarily unavailable|"
    r"could not create a (primitive|memory)|PyObject pointer is null|defaultcpuallocator|"
    r"error return without exception set|returned NULL without setting an exception",
    re.IGNORECASE,
)
"""The words of libraries for an allocation that failed, or a thread that could not be started for want of memory."""

REMEDIES = "lower training.batch_size or the model's sizes, close other programs, or raise the limit (ulimit -v)"


class OutOfMemory(ZooError):
    """The memory of the device or the machine is full."""


def out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or the one that it was raised for, says that there is no more memory."""
    while error is not None:
        if isinstance(error, MemoryError | OutOfMemory) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        kinds = RuntimeError | SystemError | ImportError | OSError
        if (isinstance(error, kinds) or type(error).__name__ == "PanicException") and WORDS.search(str(error)):
            return True
        error = error.__cause__ or (error.__context__ if isinstance(error, SystemError) else None)
    return False


@contextmanager
def explaining_memory(remedies: str = REMEDIES) -> Iterator[None]:
    """Turn whatever says that memory is full into one error for people.

    Raises:
        OutOfMemory: the memory was not enough for what is done in the context.
    """
    try:
        yield
    except (ZooError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of Rust code is no Exception
        if not out_of_memory(error):
            raise
        where = "the device's memory" if type(error).__name__ == "OutOfMemoryError" else "this machine's memory"
        raise OutOfMemory(f"{where} is full; {remedies}") from error


def machine_memory() -> int | None:
    """Return the bytes of memory that this process may use, or None where the system does not say."""
    limits = []
    try:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        pass
    try:
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no such group, or "max"
        pass
    try:
        import resource
    except ImportError:  # on Windows
        return min(limits, default=None)
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft = resource.getrlimit(kind)[0]
        if soft != resource.RLIM_INFINITY:
            limits.append(soft)
    return min(limits, default=None)


def free_memory(membership: Path = MEMBERSHIP, root: Path = ROOT) -> int | None:
    """Return the bytes of memory that this process can still take, or None where the system does not say.

    What is kept in memory of files counts as free, since the system gives it up. The limits of all control groups count
    that the process is in.

    Args:
        membership: the file that names the groups.
        root: the folder of all groups.
    """
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return machine_memory()
    free = [1024 * int(found[1])] if found else []
    for version, group in own_groups("memory", membership, root):
        limit, taken = ("memory.limit_in_bytes", "total_rss") if version == 1 else ("memory.max", "anon")
        try:
            most = int((group / limit).read_text())
            found = re.search(rf"^{taken} (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
        except (OSError, ValueError):  # no such group, or "max"
            continue
        free.append(max(0, most - int(found[1]) if found else most))
    return min(free, default=None)


def written_bytes(size: int) -> str:
    """Write a number of bytes in MiB, or GiB where there are thousands."""
    return f"{size / 2**20:,.0f} MiB" if size < 10_000 * 2**20 else f"{size / 2**30:,.0f} GiB"
