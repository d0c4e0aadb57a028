"""The files of the page and of the widget, read from the package."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable


def static_files() -> dict[str, bytes]:
    """Return the content of every file by its path below ``static``, such as ``views/map.js``."""
    found: dict[str, bytes] = {}

    def read(folder: Traversable, prefix: str) -> None:
        for item in folder.iterdir():
            if item.is_dir():
                read(item, f"{prefix}{item.name}/")
            else:
                found[prefix + item.name] = item.read_bytes()

    read(files("zoo.explorer") / "static", "")
    return dict(sorted(found.items()))
