"""The C library's allocator, told to keep what is freed: tensors of one size come and go in every step."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""The names of two settings in glibc's malloc.h."""

KEPT_BYTES = 2**30
"""Blocks up to this size are taken from the heap, and so much free memory stays there."""

LARGEST_OF_OLD_GLIBC = 2**25
"""The largest threshold that glibc took before it was free to choose."""


@cache
def keep_freed_memory() -> bool:
    """Let freed memory stay with the process, for the next tensor of its size; return whether this was possible.

    By default glibc hands large blocks back to the system, and every page of the next one is mapped and cleared anew:
    up to a quarter of a training step on a CPU, and most of a measurement's time with convolutions. The peak of the
    memory is the same. Settings that a user has made (``MALLOC_*``, ``GLIBC_TUNABLES``) and other C libraries are left
    alone.
    """
    if not sys.platform.startswith("linux") or any(
        name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ
    ):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - missing in other C libraries
        mallopt = library.mallopt
    except (OSError, AttributeError):
        return False
    large = mallopt(M_MMAP_THRESHOLD, KEPT_BYTES) or mallopt(M_MMAP_THRESHOLD, LARGEST_OF_OLD_GLIBC)
    return bool(large and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
