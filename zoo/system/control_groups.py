"""The control groups that this process is in on Linux, which limit what it may use, as those of a container do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")
"""The file that names the groups of a process."""

ROOT = Path("/sys/fs/cgroup")
"""The folder of the groups."""


def own_groups(controller: str, membership: Path = MEMBERSHIP, root: Path = ROOT) -> Iterator[tuple[int, Path]]:
    """Yield the folder of each group that the process is in, directly or not, with the version of its kind, 1 or 2.

    Args:
        controller: what the groups limit, such as ``"cpu"`` or ``"memory"``.
        membership: the file that names the groups.
        root: the folder of all groups.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base, inner = root / controllers if controllers else root, path.lstrip("/")
        # In a container the path may be the host's, of which only the root is seen.
        for part in dict.fromkeys([inner, *map(str, Path(inner).parents)]):
            yield (1 if controllers else 2), base / part
