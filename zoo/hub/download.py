"""Pull: fetch a whole model from the Hub into the cache or into a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from safetensors import SafetensorError, safe_open

from zoo.errors import ZooError, first_line
from zoo.hub.cache import MAX_WEIGHTS_BYTES, fetch, warn_unpinned
from zoo.hub.client import Hub
from zoo.runs.folder import PIN_FILE, RUN_FILES, WEIGHTS_FILE, read_config
from zoo.runs.ownership import check_replaceable
from zoo.schema.hub_address import Address
from zoo.schema.sections import HubPin
from zoo.system.files import user_path, write_atomically
from zoo.system.folders import new_folder


@dataclass(frozen=True)
class Pulled:
    """A model that was fetched from the Hub."""

    folder: Path
    """The run folder, which ``zoo.load`` takes."""
    address: Address
    """The address of the model, pinned to the commit."""
    pin: HubPin
    """The value of a recipe's field ``hub``: repository, commit, sha256 of the weights."""
    downloaded: bool
    """True if the weights were downloaded by this call; False if they came from the cache."""


def pull(
    source: str,
    to: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    max_bytes: int = MAX_WEIGHTS_BYTES,
    endpoint: str | None = None,
    token: str | None = None,
) -> Pulled:
    """Fetch all files of a model that a run folder has, and no others.

    Args:
        source: ``hf-hub:owner/name`` or ``hf-hub:owner/name@revision``.
        to: a new run folder; by default the files stay in the cache.
        overwrite: replace a run folder that is there already.
        max_bytes: the largest weights to download (default: 2 GiB).
        endpoint: the Hub's web address; by default ``$HF_ENDPOINT``, or else the public one.
        token: a token that may read it; by default ``$HF_TOKEN``, or else what ``hf auth login`` has stored.

    Raises:
        ZooError: there is no such model, it is too large, incomplete, damaged or not safetensors, or ``to`` holds
            something else; nothing is left half made.
    """
    address = Address.parse(source)
    to = None if to is None else user_path(to)
    if to is not None:
        check_replaceable(to, "--to", overwrite=overwrite)
    run = fetch(address, Hub(endpoint, token), full=True, limit=max_bytes)
    if not address.pinned:
        warn_unpinned(address, run.address, 3)
    weights = run.folder / WEIGHTS_FILE
    try:
        with safe_open(weights, framework="numpy"):  # refuses a damaged header
            pass
    except (SafetensorError, OSError) as error:
        raise ZooError(f"{WEIGHTS_FILE} of {address} is not a valid safetensors file ({first_line(error)})") from error
    pin = HubPin(
        repo=address.repository,
        revision=run.address.revision,
        sha256=read_config(run.folder).weights_sha256,
    )
    folder = run.folder if to is None else copy(run.folder, to, pin, overwrite=overwrite)
    return Pulled(folder, run.address, pin, run.downloaded)


def copy(cached: Path, to: Path, pin: HubPin, *, overwrite: bool) -> Path:
    """Copy a run's files from the cache into a folder, with the pin beside them: all of them, or none."""
    with new_folder(to, partial(check_replaceable, option="--to", overwrite=overwrite)) as complete:
        for path in sorted(cached.iterdir()):
            if path.name in RUN_FILES:
                write_atomically(complete / path.name, path.read_bytes())
        write_atomically(complete / PIN_FILE, pin.model_dump_json(indent=2) + "\n")
    return to
