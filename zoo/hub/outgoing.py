"""What of a run folder goes to the Hub: the files that training wrote, each of the kind it should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.artifacts import (
    CARD_FILE,
    METRICS_FILE,
    RUN_FILES,
    SNAPSHOTS_FILE,
    WEIGHTS_FILE,
    load_folder,
    read_file,
    read_history,
    read_snapshots,
)
from zoo.card import is_generated, write_card
from zoo.errors import ZooError
from zoo.files import sha256
from zoo.run_config import RunConfig

PNG = b"\x89PNG\r\n\x1a\n"
READERS = {METRICS_FILE: read_history, SNAPSHOTS_FILE: read_snapshots}


@dataclass(frozen=True)
class Outgoing:
    """A whole run folder, read once."""

    config: RunConfig
    files: dict[str, bytes]
    """The card among them: as it was edited by hand, or else written for its place on the Hub."""
    notes: tuple[str, ...]
    """What may be missed on the Hub."""


def read_run(folder: Path, place: str) -> Outgoing:
    """Everything of a run folder that is to be published; other files in it stay where they are.

    Args:
        folder: what training wrote.
        place: what ``zoo.load`` will be given.

    Raises:
        ZooError: it is no whole run folder, or a file is not what it is called.
    """
    config = load_folder(folder).config  # as strictly as anyone will who loads it
    assert config is not None
    files = {name: _content(folder / name) for name in sorted(RUN_FILES) if (folder / name).exists()}
    if sha256(files[WEIGHTS_FILE]) != config.weights_sha256:
        raise ZooError(f"{folder / WEIGHTS_FILE} has changed while it was read; try again")
    card = files.get(CARD_FILE, b"").decode("utf-8", errors="replace")
    if not card or is_generated(card):
        files[CARD_FILE] = write_card(config, place).encode()
    notes = []
    if not config.checked_recipe.source.license:
        notes.append("no licence: without `source.license` in the recipe, nobody knows whether they may use the model")
    if not any(name.endswith(".png") for name in files):
        notes.append("no pictures: the card will show none")
    return Outgoing(config, files, tuple(notes))


def _content(path: Path) -> bytes:
    if path.is_symlink():  # which could lead to anything, and make it public
        raise ZooError(f"{path} is a link; push a folder of files (python -m zoo.pull ... --to FOLDER writes one)")
    content = read_file(path)
    if path.suffix == ".png" and not content.startswith(PNG):
        raise ZooError(f"{path} is no PNG; remove it, or draw it again")
    if path.name in READERS:
        READERS[path.name](path.parent)
    return content
