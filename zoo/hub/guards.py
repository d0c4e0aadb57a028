"""Guards around the Hub's client, which trusts the server's answers and reports every attempt.

A server can neither name a file in the cache through a header nor send more bytes than it has announced, and the user
reads one outcome instead of the client's log.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub.utils import _http, get_session, tqdm  # type: ignore[attr-defined]

from zoo.errors import ZooError

IDENTIFIER = r'(W/)?"?[0-9A-Za-z-]{0,200}"?'
"""The pattern of a header's value that cannot lead to another folder."""

FACTORY = "_GLOBAL_CLIENT_FACTORY"
"""The name of the function in huggingface_hub that makes its client."""

_log_lock = threading.Lock()
_log_users = 0
_log_level = logging.NOTSET


@contextmanager
def quiet_log() -> Iterator[None]:
    """Silence the client's warnings in this context; several threads may be in it at once."""
    global _log_users, _log_level
    log = logging.getLogger("huggingface_hub")
    with _log_lock:
        if not _log_users:
            _log_level = log.level
            log.setLevel(logging.ERROR)
        _log_users += 1
    try:
        yield
    finally:
        with _log_lock:
            _log_users -= 1
            if not _log_users:
                log.setLevel(_log_level)


def filter_headers() -> None:
    """Make the client refuse answers whose headers, after which it names files in its cache, could be paths.

    After a lost connection it makes itself anew; that one refuses them, too.
    """
    factory = getattr(_http, FACTORY, None)
    if factory is not None and not isinstance(factory, _Guarded):  # the way to set one would close what others use
        setattr(_http, FACTORY, _Guarded(factory))
    _guard(get_session())


class _Guarded:
    """Makes clients as another factory does, each with the filter."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.factory = factory

    def __call__(self) -> Any:
        client = self.factory()
        _guard(client)
        return client


def _guard(client: Any) -> None:
    hooks = client.event_hooks
    if _refuse_paths not in hooks.get("response", []):
        client.event_hooks = {**hooks, "response": [*hooks.get("response", []), _refuse_paths]}


def _refuse_paths(response: Any) -> None:
    for header in ("ETag", "X-Linked-ETag", "X-Repo-Commit"):
        value = response.headers.get(header, "")
        if "X-Repo-Commit" in response.headers and not re.fullmatch(IDENTIFIER, value):
            raise ValueError(f"a header {header} that is not an identifier")


def bounded_progress(size: float, words: str) -> type[Any]:
    """Return a class of progress bars, for one download of the client, that ends it after more than ``size`` bytes.

    Args:
        size: the most bytes.
        words: the end of "more than the ... bytes" in the error message.
    """

    class BoundedProgress(tqdm):
        received = 0

        def update_transfer(self, n: float) -> None:
            """Ignore the bytes on the network: with Xet, they may be more than the file holds."""

        def update(self, n: float | None = 1) -> Any:
            self.received += int(n or 0)
            if self.received > size:
                raise ZooError(f"the server sends more than the {size:,} bytes {words}; nothing was kept")
            return super().update(n)

    return BoundedProgress
