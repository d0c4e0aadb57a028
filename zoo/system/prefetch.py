"""Reading ahead: the next item is made by a second thread while the one before it is in use."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """Yield the items of an iterator, each made by a second thread while the one before it is in use."""
    end = object()
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    try:
        following = thread.submit(next, items, end)
        while (item := following.result()) is not end:
            following = thread.submit(next, items, end)
            yield item  # type: ignore[misc]  # only the end is no item
    finally:
        thread.shutdown(wait=False)  # an iterator left half-way may be collected in that very thread
