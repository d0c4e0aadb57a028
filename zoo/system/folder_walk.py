"""The files of a folder and its subfolders: each once, links followed, and what was left out and why."""

from __future__ import annotations

import heapq
import os
import stat
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HIDDEN = "hidden, or a tool's"
TWICE = "the same file or folder as another one (a link)"
DANGLING = "links to nothing"
SPECIAL = "pipes, sockets or devices"
UNREADABLE = "folders that cannot be opened"

TOOL_FOLDERS = frozenset(
    {
        "__macosx", "__pycache__", "node_modules", "lost+found", "thumbs.db", "$recycle.bin",
        "system volume information", "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb",
    }
)  # fmt: skip
"""Names, in lower case, that systems and tools give to what is their own, besides names that begin with a dot: the
first of them on computers, the others on the disks of a network."""


@dataclass(frozen=True)
class Walk:
    """What is under a folder."""

    files: list[Path]
    """The regular files, sorted by path."""
    left_out: dict[str, list[Path]]
    """What was left out, by reason."""


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or a tool's."""
    return name.startswith(".") or name.lower() in TOOL_FOLDERS


def walk(root: Path, count: Callable[[Path], bool], enter: Callable[[Path], bool] = lambda folder: True) -> Walk:
    """List the files under a folder, each once.

    Links are followed after everything else, so that of a file that can be reached in several ways the one without a
    link counts, and a link to a folder above it ends there.

    Args:
        root: the folder.
        count: whether a file counts, by its name; others are neither listed nor reported.
        enter: whether to look into a folder.
    """
    files: list[Path] = []
    left_out: dict[str, list[Path]] = defaultdict(list)
    folders: list[str] = []
    links: list[str] = []
    hidden: list[tuple[bool, Path]] = []
    seen: set[tuple[int, int]] = set()

    def take(name: str) -> None:
        path = Path(name)
        try:
            status = os.stat(name)
        except OSError:
            if not path.suffix or count(path):
                left_out[DANGLING].append(path)
            return
        is_folder = stat.S_ISDIR(status.st_mode)
        if not (enter(path) if is_folder else count(path)):
            return
        if not (is_folder or stat.S_ISREG(status.st_mode)):
            left_out[SPECIAL].append(path)
            return
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            left_out[TWICE].append(path)
            return
        if status.st_ino:  # some file systems number nothing
            seen.add(identity)
        if is_folder:
            folders.append(name)
        else:
            files.append(path)

    take(str(root))
    while folders or links:
        if not folders:
            take(heapq.heappop(links))
            continue
        folder = folders.pop()
        try:
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError:
            left_out[UNREADABLE].append(Path(folder))
            continue
        for entry in entries:
            path = Path(folder) / entry.name
            if is_hidden(entry.name):
                if enter(path) if entry.is_dir() else count(path):
                    hidden.append((not entry.is_dir(), path))
            elif entry.is_symlink():
                heapq.heappush(links, str(path))
            else:
                take(str(path))
    if hidden:
        left_out[HIDDEN] = [path for _, path in sorted(hidden)]  # folders first, which hold more
    return Walk(sorted(files), dict(left_out))
