"""Fixtures of the explorer's tests in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.explorer.browser import chromium, served


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for the tests of a module: while it is there, no other test can run an event loop."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def explorer(browser: Any) -> Iterator[str]:
    """The address of an explorer of all shipped models."""
    with served("--port", "0") as (url, _):
        yield url
