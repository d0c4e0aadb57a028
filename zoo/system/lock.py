"""The lock around what belongs to the whole process, and filters of warnings under it. Imports no torch."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

PROCESS_LOCK = threading.RLock()
"""Held whenever something that all threads share is set for a while and put back: torch's default generators and its
default dtype, TF32, filters of warnings, matplotlib's settings."""


@contextmanager
def warnings_ignored(message: str = "") -> Iterator[None]:
    """Ignore the warnings whose message begins with the pattern ``message``; their filters belong to all threads."""
    with PROCESS_LOCK, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=message)
        yield
