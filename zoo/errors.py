"""The errors a user can cause, each written to be read by that user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_LINES, LONGEST_LINE = 40, 1000
"""Of a message."""


class ZooError(Exception):
    """Something the user can put right. The message says what was wrong, where, and what to do about it.

    Command lines print it without a traceback and exit with code 2. What it quotes may come from anywhere: what cannot
    be printed is escaped, and what is too long to be read is cut.
    """

    def __init__(self, message: str) -> None:
        lines = message.split("\n")
        rest = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
        super().__init__("\n".join([*map(readable, lines[:MOST_LINES]), *rest]))


def readable(line: str) -> str:
    """A line that can be printed: what cannot is escaped, and the middle of a long one is left out."""
    if len(line) > LONGEST_LINE:
        line = f"{line[: LONGEST_LINE // 2]} ... {line[-LONGEST_LINE // 4 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class Lacking(ZooError):
    """A model, its data or this machine has nothing that what is asked for could be taken from."""


class UnknownNameError(ZooError):
    """A name that nothing is registered under; the message shows the close matches."""

    def __init__(self, kind: str, name: str, known: Iterable[str], note: str = "") -> None:
        super().__init__(f"unknown {kind} {name!r}{suggest(name, known)}{note}")


def suggest(name: str, known: Iterable[str]) -> str:
    """The tail of a message: the close matches of ``name``, or every known name where none is close."""
    names = sorted(known) if len(name) <= 100 else []  # nobody has mistyped one as long as that
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "; known: " + ", ".join(names) if names else ""


def first_line(error: object) -> str:
    """An exception's message on one line."""
    return (str(error) or type(error).__name__).splitlines()[0]
