"""Writing a table row by row, as CSV or JSON by the file's ending; the file appears when the table is complete."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from zoo.system.files import writing

Columns = Mapping[str, Sequence[object]]
"""The values of each column, by its name, in the rows to be added."""


@contextmanager
def table_writer(path: Path) -> Iterator[Callable[[Columns], None]]:
    """Yield a function that adds rows to the table at ``path``; memory does not grow with them.

    Raises:
        ZooError: the file cannot be written; what was there before is unchanged.
    """
    started = False
    with writing(path) as file:

        def add(columns: Columns) -> None:
            nonlocal started
            rows = list(zip(*columns.values(), strict=True))
            if path.suffix == ".csv":
                text = io.StringIO(newline="")
                # Names are quoted, whatever is in them: line breaks of every kind, too.
                table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
                table.writerows(rows if started else [tuple(columns), *rows])
                file.write(text.getvalue().encode())
            else:
                for row in rows:
                    file.write(b",\n" if started else b"[\n")
                    file.write(json.dumps(dict(zip(columns, row, strict=True))).encode())
                    started = True
            started = True

        yield add
        if path.suffix != ".csv":
            file.write(b"\n]\n" if started else b"[]\n")
