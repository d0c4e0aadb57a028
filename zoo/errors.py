"""The errors a user can cause, each written to be read by that user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_LINES, MAX_LINE_LENGTH = 40, 1000
"""An error message is cut to 40 lines of 1,000 characters."""


class ZooError(Exception):
    """Something the user can put right. The message says what was wrong, where, and what to do about it.

    Command lines print it without a traceback and exit with code 2. What it quotes may come from anywhere: what cannot
    be printed is escaped, and what is too long to be read is cut.
    """

    def __init__(self, message: str) -> None:
        lines = message.split("\n")
        rest = [f"and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else []
        super().__init__("\n".join([*map(readable, lines[:MAX_LINES]), *rest]))


def readable(line: str) -> str:
    """Return a line that can be printed: what cannot is escaped, and the middle of a long line is left out."""
    if len(line) > MAX_LINE_LENGTH:
        line = f"{line[: MAX_LINE_LENGTH // 2]} ... {line[-MAX_LINE_LENGTH // 4 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class NotApplicable(ZooError):
    """A model, its data or this machine lacks what the thing that was asked for is made of."""


class UnknownNameError(ZooError):
    """A name that nothing is registered under; the message shows the close matches."""

    def __init__(self, kind: str, name: str, known: Iterable[str], note: str = "") -> None:
        super().__init__(f"unknown {kind} {name!r}{suggest(name, known)}{note}")


def suggest(name: str, known: Iterable[str]) -> str:
    """Write the tail of a message: the close matches of ``name``, or every known name where none is close."""
    names = sorted(known) if len(name) <= 100 else []  # nobody has mistyped one as long as that
    close = closest(name, names)
    if close:
        return "; did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "; known: " + ", ".join(names) if names else ""


def closest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the known names that ``name`` may have been meant for, the closest first."""
    return difflib.get_close_matches(name, known, n=count, cutoff=0.6)


def first_line(error: object) -> str:
    """Return the first line of an exception's message."""
    return (str(error) or type(error).__name__).splitlines()[0]


def shortened(name: str, length: int) -> str:
    """Cut a name from the left to ``length`` characters: of a long one, a path, the end tells more."""
    return name if len(name) <= length else f"\N{HORIZONTAL ELLIPSIS}{name[1 - length :]}"
