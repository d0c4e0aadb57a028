"""A table that is written row by row, as CSV or JSON by its file's ending, and gets its name when it is whole."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from zoo.system.files import writing

Columns = Mapping[str, Sequence[object]]
"""Column → its values in the rows to be added."""


@contextmanager
def table_writer(path: Path) -> Iterator[Callable[[Columns], None]]:
    """Inside, each call adds rows; memory does not grow with them.

    Raises:
        ZooError: the file cannot be written; what was there before is unchanged.
    """
    begun = False
    with writing(path) as file:

        def add(columns: Columns) -> None:
            nonlocal begun
            rows = list(zip(*columns.values(), strict=True))
            if path.suffix == ".csv":
                text = io.StringIO(newline="")
                # Names are quoted, whatever is in them: line breaks of every kind, too.
                table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
                table.writerows(rows if begun else [tuple(columns), *rows])
                file.write(text.getvalue().encode())
            else:
                for row in rows:
                    file.write(b",\n" if begun else b"[\n")
                    file.write(json.dumps(dict(zip(columns, row, strict=True))).encode())
                    begun = True
            begun = True

        yield add
        if path.suffix != ".csv":
            file.write(b"\n]\n" if begun else b"[]\n")
