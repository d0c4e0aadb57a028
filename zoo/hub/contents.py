"""The files of a run folder that go to the Hub: those that training wrote, each checked to be what it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from huggingface_hub import ModelCard
from yaml import YAMLError  # type: ignore[import-untyped]  # which the client parses cards with

from zoo.errors import ZooError, first_line
from zoo.runs.card import is_generated, load_name_in, write_card
from zoo.runs.folder import (
    CARD_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    RECONSTRUCTIONS_FILE,
    RUN_FILES,
    SNAPSHOTS_FILE,
    WEIGHTS_FILE,
    load_folder,
    read_history,
    read_snapshots,
)
from zoo.runs.unfinished import finished_folder, partial_folder
from zoo.schema.run_config import RunConfig
from zoo.schema.text import decode_text
from zoo.system.files import MAX_RECORD_BYTES, is_path, read_file, sha256

PNG_START = b"\x89PNG\r\n\x1a\n"
FILES_SHOWING_TEST_IMAGES = frozenset({RECONSTRUCTIONS_FILE, SNAPSHOTS_FILE})
"""The files that show images of the test split."""

NOTHING: Mapping[str, bytes] = MappingProxyType({})

READERS = {METRICS_FILE: read_history, SNAPSHOTS_FILE: read_snapshots}
"""The functions that refuse a damaged file, by its name."""


@dataclass(frozen=True)
class RunContents:
    """The files of a whole run folder, read once."""

    config: RunConfig
    files: dict[str, bytes]
    """The content of each file; the card is as it was edited by hand, or else written for its address on the Hub."""
    notes: tuple[str, ...]
    """Remarks for the author about what readers of the Hub may miss or see."""


def read_run(
    folder: Path, load_name: str, *, test_images: bool = True, drawn: Mapping[str, bytes] = NOTHING
) -> RunContents:
    """Read everything of a run folder that is to be published; other files in it stay where they are.

    Args:
        folder: the folder that training wrote.
        load_name: the name that the card passes to ``zoo.load``.
        test_images: include the files that show images of the test split.
        drawn: figures by file name that go with the others where the folder does not have them.

    Raises:
        ZooError: the folder is no whole run folder, or a file is not what its name says.
    """
    if not folder.exists() and (Path("runs") / folder.name / WEIGHTS_FILE).exists():
        raise ZooError(f"there is no folder {folder}; did you mean runs/{folder.name}?")
    if partial_folder(finished_folder(folder)).exists():
        raise ZooError(f"the training into {folder} is not finished; push it when it is")
    config = load_folder(folder).config  # as strictly as anyone will who loads it
    assert config is not None
    names = sorted(RUN_FILES if test_images else RUN_FILES - FILES_SHOWING_TEST_IMAGES)
    files = {name: _content(folder / name) for name in names if os.path.lexists(folder / name)}
    added = {name: content for name, content in drawn.items() if name in names and name not in files}
    files |= added
    if sha256(files[WEIGHTS_FILE]) != config.weights_sha256:
        raise ZooError(f"{folder / WEIGHTS_FILE} has changed while it was read; try again")
    card = decode_text(files.get(CARD_FILE, b""), str(folder / CARD_FILE))
    if not card or is_generated(card):
        card = write_card(config, load_name, files)
    else:  # its author's words; only the address of the model has changed
        card = card.replace(f'zoo.load("{load_name_in(card)}"', f'zoo.load("{load_name}"')
    files[CARD_FILE] = card.encode()
    try:
        licensed = ModelCard(card).data.get("license")
    except (ValueError, YAMLError) as error:
        raise ZooError(f"the front matter of {folder / CARD_FILE} cannot be read ({first_line(error)})") from error
    notes = [f"{', '.join(added)}: drawn for this push, since the folder has no figures"] if added else []
    if not licensed:
        notes.append(
            "no licence: nobody knows whether they may use the model; write `license: ...` at the top of README.md, "
            "and `source.license` into the recipe before the next training"
        )
    data = config.recipe["data"]
    if config.checked_recipe.data.private:
        shown = (
            f"{' and '.join(sorted(FILES_SHOWING_TEST_IMAGES & files.keys()))} show some of your images, and "
            if test_images
            else ""
        )
        remedy = " (--without-test-images leaves them out)" if test_images else ""
        classes = " and its classes" if data.get("classes") else ""
        notes.append(f"{shown}{CONFIG_FILE} and the card name the folder {data['path']!r}{classes}{remedy}")
    start = config.checked_recipe.training.start
    if start and is_path(start):
        notes.append(f"{CONFIG_FILE} and the card name the folder {start!r} that the training started from")
    return RunContents(config, files, tuple(notes))


def _content(path: Path) -> bytes:
    if path.is_symlink():  # which could lead to anything, and make it public
        raise ZooError(f"{path} is a link; push a folder of files (zoo pull ... --to FOLDER writes one)")
    content = read_file(path, sys.maxsize if path.name == WEIGHTS_FILE else MAX_RECORD_BYTES)  # it was loaded
    if path.suffix == ".png" and not content.startswith(PNG_START):
        raise ZooError(f"{path} is not a PNG file; remove it, or draw it again")
    if path.name in READERS:
        READERS[path.name](path.parent)
    return content
