"""The garbage collector rests while something is imported, and only then."""

from __future__ import annotations

import gc

import pytest

from zoo.cli import app
from zoo.imports import importing


def test_the_collector_rests_while_something_is_imported() -> None:
    assert gc.isenabled()
    with pytest.raises(ImportError), importing():
        assert not gc.isenabled()
        with importing():
            pass
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_its_user_has_stopped_stays_so() -> None:
    gc.disable()
    try:
        with importing():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_nothing_is_looked_through_when_a_command_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    with pytest.raises(SystemExit):
        app.main(["--version"])
    assert frozen
