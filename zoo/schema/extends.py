"""Reading recipes by difference, as people write them; :mod:`zoo.extends` says how files are merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.extends import resolved
from zoo.schema.parsing import parse_json
from zoo.schema.text import read_text


def read_fields(path: Path) -> dict[str, Any]:
    """Return the fields of a recipe's file as JSON, with those of the files that it extends.

    Raises:
        ZooError: a file cannot be read, is not JSON, or extends itself; the message names it.
    """
    return resolved(path, lambda file, what: parse_json(read_text(file, what), str(file)))
