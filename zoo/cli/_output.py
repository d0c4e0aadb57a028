"""Printing for verbs: lines that no value can forge, in every encoding of the output and for every reader."""

from __future__ import annotations

import codecs
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from zoo.errors import ZooError, escape, escaped, writing_output
from zoo.system.files import spelled

if TYPE_CHECKING:  # rich takes a while to import
    from rich.table import Table

SUBSTITUTES = {
    "\N{MINUS SIGN}": "-",
    "\N{PLUS-MINUS SIGN}": "+/-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{SUPERSCRIPT TWO}": "^2",
    "\N{GREEK SMALL LETTER BETA}": "beta",
    **{chr(0x2580 + height): str(height) for height in range(1, 9)},  # the blocks of curves
}
"""The substitutes for characters that the encoding of the output lacks; any other is escaped."""


INDENT = "    "
"""The indentation of the lines of a message after its first."""


def write(text: str, file: TextIO | None = None) -> None:
    """Write text that is the zoo's own, or ASCII.

    Raises:
        ZooError: the output cannot be written.
    """
    with writing_output():
        (file or sys.stdout).write(text)


def say(line: object = "", file: TextIO | None = None) -> None:
    """Print one line; line breaks and whatever else cannot be printed are escaped."""
    write(f"{escaped(str(line))}\n", file)


def say_lines(text: str, file: TextIO | None = None) -> None:
    """Print text of the zoo's own line by line."""
    for line in text.split("\n"):
        say(line, file)


def say_json(value: object) -> None:
    """Print a value as JSON in ASCII, with file names as :func:`zoo.system.files.spelled` writes them."""
    import json

    write(f"{json.dumps(_spelled(value), indent=2)}\n")


def _spelled(value: Any) -> Any:
    if isinstance(value, str):
        return spelled(value)
    if isinstance(value, dict):
        return {_spelled(key): _spelled(item) for key, item in value.items()}
    return [_spelled(item) for item in value] if isinstance(value, list | tuple) else value


def print_table(table: Table, width: int = 120) -> None:
    """Print a table as wide as the terminal, or ``width`` columns where there is none; wider before a value is cut."""
    from rich.measure import Measurement
    from rich.segment import Segment

    from zoo.system.terminal import PlainConsole

    console = PlainConsole(width=None if sys.stdout.isatty() else width)
    wide = console.options.update(width=10_000)
    for column in table.columns:  # wide enough for the longest word
        needed = [Measurement.get(console, wide, cell) for cell in (column.header, *column.cells)]
        column.min_width = max(cell.maximum if column.no_wrap else cell.minimum for cell in needed)
    console.width = max(console.width, Measurement.get(console, wide, table).minimum)
    for _ in range(len(table.columns)):  # columns are narrowed unevenly, and may take more than the least
        lines = Segment.split_lines(console.render(table))
        console.width = max(console.width, *map(Segment.get_line_length, lines))
    console.print(table)


def prepare_streams() -> None:
    """Make the standard streams take every text; those that are closed take it, too, and lose it."""
    codecs.register_error("substitute", _substituted)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # closed: no file that is opened later may get its number
            try:
                os.fstat(number)
            except OSError:
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="substitute")


def is_first_process() -> bool:
    """Return whether this process speaks for those that torchrun has started with it; True for one alone."""
    return os.environ.get("RANK", "0") == "0"


def complain(message: str) -> None:
    """Print a message to stderr, where it can be printed.

    Its further lines are indented, so that a line break in what it quotes cannot begin a line like the zoo's own.
    """
    try:
        say_lines(message.replace("\n", f"\n{INDENT}"), sys.stderr)
    except (ZooError, OSError, ValueError):  # full, or closed
        pass


def finish() -> None:
    """Write what is still waiting to be written.

    Raises:
        ZooError: the output cannot be written.
    """
    try:
        with writing_output():
            sys.stdout.flush()
    except ZooError:
        abandon_stdout()
        raise


def abandon_stdout() -> None:
    """Let go what could not be printed, about which Python would complain when it exits."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # no file
        pass


def _substituted(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(SUBSTITUTES.get(character) or escape(character) for character in text), error.end
