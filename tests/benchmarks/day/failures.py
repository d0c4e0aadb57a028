"""A plugin of pytest that prints why a test failed as soon as it has: a stage that is stopped prints no summary."""

from __future__ import annotations

import os

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Print the error of a failed test, once, however many processes there are."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\n{report.nodeid}\n{report.longreprtext}", flush=True)
