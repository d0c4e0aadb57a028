"""What is printed with rich: text from outside is shown as it is, and output that cannot be written is an error."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from zoo.errors import escaped, writing_output


class PlainConsole(Console):
    """A console that prints what it is given: ``:name:`` is no emoji, and nothing is coloured by what it looks like."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, as :class:`rich.console.Console` does.

        Raises:
            ZooError: the output cannot be written.
        """
        with writing_output():
            super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Let the caller decide what happens when the reader of the output has gone."""
        raise BrokenPipeError


def plain(text: object, style: str = "") -> Text:
    """Return text for a cell, a title or a caption, shown character by character, on one line."""
    return Text(escaped(str(text)), style)


def bars_on_stderr(*, shown: bool) -> Progress:
    """Return progress bars that go away at the end; descriptions are plain text."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=PlainConsole(stderr=True), transient=True, disable=not shown)
