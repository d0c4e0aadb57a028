"""A bound on the memory that threads take at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class MemoryBudget:
    """A number of bytes that several threads share; who needs more than is free waits.

    Args:
        total: the number of bytes; one that needs more has all of them to itself.
    """

    def __init__(self, total: int) -> None:
        self.total = self.free = total
        self._changed = Condition()

    @contextmanager
    def reserved(self, amount: int) -> Iterator[None]:
        """Wait until ``amount`` bytes are free, and hold them while the context is active."""
        amount = min(amount, self.total)
        with self._changed:
            self._changed.wait_for(lambda: self.free >= amount)
            self.free -= amount
        try:
            yield
        finally:
            with self._changed:
                self.free += amount
                self._changed.notify_all()
