"""What stands under a name that a run would take: it is replaced only if a run of the zoo has written it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from zoo.errors import ZooError
from zoo.runs.folder import (
    CHECKPOINT_FILE,
    CONFIG_FILE,
    MAX_CONFIG_BYTES,
    METRICS_FILE,
    PIN_FILE,
    PREVIOUS_CHECKPOINT_FILE,
    RUN_FILES,
    SNAPSHOTS_FILE,
)
from zoo.schema.parsing import parse_json
from zoo.schema.text import decode_text
from zoo.system.files import read_file, temporary_paths
from zoo.system.folders import names_in

CHECKPOINT_FILES = frozenset({CHECKPOINT_FILE, PREVIOUS_CHECKPOINT_FILE})

BEGUN_FILES = frozenset({METRICS_FILE, SNAPSHOTS_FILE})
"""The files of a run that may be there before its first checkpoint."""


def check_replaceable(folder: Path, option: str, *, overwrite: bool) -> None:
    """Refuse to replace anything but a run folder, and a run folder only if it was asked for.

    Args:
        folder: the folder that would be replaced, if it is there.
        option: the option of the command line that names it.
        overwrite: whether a run folder may be replaced.

    Raises:
        ZooError: the folder holds other files, or a run, or it cannot be created under this name.
    """
    if not names_in(folder):
        return
    _check_names(folder, option, RUN_FILES | CHECKPOINT_FILES | {PIN_FILE})
    if not _has_config(folder):
        raise ZooError(
            f"{folder} is no run folder, since its {CONFIG_FILE} is not one of a run; move it, or choose another "
            f"folder with {option}"
        )
    if not overwrite:
        remedies = f"--overwrite replaces it (in Python, overwrite=True), {option} names another folder"
        raise ZooError(f"{folder} is there already; {remedies}")


def check_unfinished(partial: Path, option: str = "--out") -> None:
    """Refuse a folder that no unfinished run has written.

    Raises:
        ZooError: it holds other files, or cannot be created under this name.
    """
    names = names_in(partial)
    _check_names(partial, option, RUN_FILES | CHECKPOINT_FILES if names & CHECKPOINT_FILES else BEGUN_FILES)


def leftovers(folder: Path, known: Collection[str] = RUN_FILES | CHECKPOINT_FILES) -> list[Path]:
    """List the temporary files that a killed run has left in its folder while it wrote files of these names."""
    return [path for name in known for path in temporary_paths(folder / name)]


def _check_names(folder: Path, option: str, known: Collection[str]) -> None:
    """Refuse a folder with anything in it but files of these names, and temporary ones for them."""
    names = {*known, *(path.name for path in leftovers(folder))}
    paths = folder.iterdir() if folder.exists() else ()
    foreign = sorted(path.name for path in paths if path.is_dir() or path.name not in names)
    if foreign:
        listed = ", ".join([*foreign[:3], *(["..."] if len(foreign) > 3 else [])])
        raise ZooError(
            f"{folder} holds files that no run has written ({listed}); move them, or choose another folder with "
            f"{option}"
        )


def _has_config(folder: Path) -> bool:
    path = folder / CONFIG_FILE
    try:
        fields = parse_json(decode_text(read_file(path, MAX_CONFIG_BYTES), str(path)), str(path))
    except ZooError:
        return False
    return {"recipe", "weights_sha256"} <= fields.keys()
