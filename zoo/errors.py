"""The errors a user can cause, each written to be read by that user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZooError(Exception):
    """Something the user can put right. The message says what was wrong, where, and what to do about it.

    Command lines print it without a traceback and exit with code 2.
    """


class Lacking(ZooError):
    """A model, its data or this machine has nothing that what is asked for could be taken from."""


class UnknownNameError(ZooError):
    """A name that nothing is registered under; the message shows the close matches."""

    def __init__(self, kind: str, name: str, known: Iterable[str], note: str = "") -> None:
        super().__init__(f"unknown {kind} {name!r}{suggest(name, known)}{note}")


def suggest(name: str, known: Iterable[str]) -> str:
    """The tail of a message: the close matches of ``name``, or every known name where none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "; known: " + ", ".join(names) if names else ""


def first_line(error: object) -> str:
    """An exception's message on one line."""
    return (str(error) or type(error).__name__).splitlines()[0]
