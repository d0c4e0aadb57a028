"""The errors that a user can cause, each with a message for that user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

MAX_LINES, MAX_LINE_LENGTH = 40, 1000
"""An error message is cut to 40 lines of 1,000 characters."""


class ZooError(Exception):
    """An error that the user can correct. The message says what was wrong, where, and what to do about it.

    Commands print it without a traceback and exit with code 2. The message may quote text from anywhere: characters
    that cannot be printed are escaped, and text that is too long to read is cut.
    """

    def __init__(self, message: str) -> None:
        lines = message.split("\n")
        more = [f"and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else []
        super().__init__("\n".join([*map(readable, lines[:MAX_LINES]), *more]))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the finished message, whatever a subclass is made of, so that an error crosses processes."""
        return _unpickled, (type(self), self.args, self.__dict__)


def _unpickled(kind: type[ZooError], args: tuple[Any, ...], fields: dict[str, Any]) -> ZooError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


def readable(line: str) -> str:
    """Return a line that can be printed: other characters are escaped, and the middle of a long line is left out."""
    if len(line) > MAX_LINE_LENGTH:
        line = f"{line[: MAX_LINE_LENGTH // 2]} ... {line[-MAX_LINE_LENGTH // 4 :]}"
    return escaped(line)


def escaped(text: str) -> str:
    """Return text on one line that a terminal shows as it is.

    Control characters, line breaks, directions of writing and bytes of file names that are no text are escaped as
    Python writes them, ``\\x1b``; everything that comes from outside goes through here before it is shown.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else escape(c) for c in text)


def escape(character: str) -> str:
    """Write a character in ASCII: ``\\x1b``, ``\\u202e``; ``\\xe4`` for that byte of a file name that is not UTF-8."""
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


class OutputError(ZooError):
    """The output of a command cannot be written: its disk is full, or its terminal is gone."""


@contextmanager
def writing_output() -> Iterator[None]:
    """Name the output in the error where it cannot be written; that its reader has gone stays a BrokenPipeError.

    Raises:
        OutputError: the output cannot be written.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write the output: {error.strerror or error}") from error


class NotApplicable(ZooError):
    """A model, its data or this machine lacks something that the request needs."""


class UnknownNameError(ZooError):
    """Nothing is registered under a name; the message shows the close matches."""

    def __init__(self, kind: str, name: str, known: Iterable[str], note: str = "") -> None:
        if not isinstance(name, str):
            note = f"; a name is text, such as {min(known, default='')!r}"
            super().__init__(f"unknown {kind}: got {'None' if name is None else type(name).__name__}{note}")
        else:
            super().__init__(f"unknown {kind} {name!r}{suggest(name, known)}{note}")


def suggest(name: str, known: Iterable[str], shown: Iterable[str] | None = None) -> str:
    """Return the tail of a message: the close matches of ``name``, or every known name where none is close.

    Args:
        name: the name that is not known.
        known: the names that it may have been meant for.
        shown: the names to show where none is close; None: all of them.
    """
    names = sorted(known) if len(name) <= 100 else []  # a longer one is not a typing mistake
    close = closest(name, names)
    if close:
        return "; did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "; known: " + ", ".join(names if shown is None else sorted(shown)) if names else ""


def closest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the known names that ``name`` may have been meant for, the closest first."""
    return difflib.get_close_matches(name, known, n=count, cutoff=0.6)


def first_line(error: object) -> str:
    """Return the first line of an exception's message, or the name of its class where it has none."""
    return (str(error) or type(error).__name__).splitlines()[0]


def shortened(name: str, length: int) -> str:
    """Escape a name and cut it from the left to ``length`` characters: a long one is a path, whose end matters more."""
    name = escaped(name)
    return name if len(name) <= length else f"\N{HORIZONTAL ELLIPSIS}{name[1 - length :]}"
