"""``zoo.load``: a trained model by an entry's name, a folder or an address on the Hub."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from zoo.entries.catalog import WEIGHTS, recipe, recipe_paths, weights_folder
from zoo.errors import NotApplicable, UnknownNameError, ZooError
from zoo.models import Autoencoder, handing_in
from zoo.models.own_modules import Module
from zoo.runs.folder import PIN_FILE, load_folder
from zoo.schema.base import DatasetConfig
from zoo.schema.hub_address import PREFIX, Address
from zoo.system.files import is_path, user_path

SHIPPED = "shipped with the zoo"
"""The origin of a model whose weights are part of the package."""


@dataclass(frozen=True)
class RunLocation:
    """A run folder, and the source that it comes from."""

    folder: Path
    origin: str
    """The source: ``shipped with the zoo``, ``./runs/mine``, ``the cache: hf-hub:...`` or ``hf-hub:...``."""
    address: Address | None = None
    """The address of a run on the Hub; its files are in the cache, which is not the user's to write into."""

    def check_may_read(self, data: DatasetConfig) -> None:
        """Refuse to read a folder on this machine that a config from elsewhere names.

        Raises:
            NotApplicable: the run comes from the Hub, and its images are its author's own.
        """
        if data.private and self.from_hub:
            raise NotApplicable(
                f"{self.origin} was trained on a folder of its author's, and a config from elsewhere chooses no "
                f"folder here; --data ./images measures it on yours"
            )

    @property
    def from_hub(self) -> bool:
        """True if the run is one of the Hub's, in the cache or in a folder that ``zoo pull`` has written."""
        return self.address is not None or (self.folder / PIN_FILE).exists()

    @property
    def trusted(self) -> bool:
        """True if the folder is one of the zoo's own, as :func:`zoo.runs.folder.load_folder` takes it."""
        return self.folder.is_relative_to(WEIGHTS)


def find(source: str | os.PathLike[str], *, full: bool = False, endpoint: str | None = None) -> RunLocation:
    """Find the run folder that ``source`` names.

    An entry's weights are looked for in the package, then in the cache, then on the Hub.

    Args:
        source: as in :func:`load`.
        full: fetch from the Hub also what is not needed to load a model: drawn figures, history, snapshots.
        endpoint: the Hub's web address; None: ``$HF_ENDPOINT``, or else the public one.

    Raises:
        ZooError: there is no such folder; the message shows the right spelling or the close match.
    """
    if isinstance(source, os.PathLike):
        return RunLocation(user_path(source), str(source))
    if not isinstance(source, str) or not source:
        got = repr(source) if not source else type(source).__name__
        raise ZooError(f"name an entry, a run folder or {PREFIX}owner/name, such as 'conv_vae_mnist'; got {got}")
    try:
        os.fsencode(source)
        impossible = "\0" in source
    except UnicodeEncodeError:
        impossible = True
    if impossible:
        raise ZooError(f"{source!r} is nothing that a model or a folder could be called")
    if source.startswith(PREFIX):
        return _fetch(source, None, full, endpoint)
    if is_path(source):
        return RunLocation(user_path(source), source)
    if source.startswith(("https://", "http://")):
        raise ZooError(f"{source}: write {PREFIX}owner/name, and another Hub than the public one into HF_ENDPOINT")
    if re.match(r"(hf|hub|hf-hub)[:/]", source, re.IGNORECASE):
        raise ZooError(f"{source!r}: write {PREFIX}owner/name, or {PREFIX}owner/name@revision")
    if "/" in source or os.sep in source:
        raise ZooError(f"{source!r} could be a folder or a Hub repository; write ./{source} or {PREFIX}{source}")
    if source not in recipe_paths():
        folder_hint = f" (for the folder, write ./{source})" if os.path.isdir(source) else ""
        raise UnknownNameError("entry", source, recipe_paths(), folder_hint)
    shipped = weights_folder(source)
    if shipped:
        return RunLocation(shipped, SHIPPED)
    pin = recipe(source).hub
    if pin:
        return _fetch(f"{PREFIX}{pin.repo}@{pin.revision}", pin.sha256, full, endpoint)
    raise ZooError(
        f"the entry {source!r} has a recipe but no weights, neither shipped nor on the Hub; train it with "
        f"`zoo train {source}` and load ./runs/{source}"
    )


def load(
    source: str | os.PathLike[str],
    device: str | torch.device = "cpu",
    *,
    endpoint: str | None = None,
    encoder: Module | None = None,
    decoder: Module | None = None,
) -> Autoencoder:
    """Load a trained model in eval mode, with its ``config`` (recipe, metrics, provenance) and its ``origin``.

    Args:
        source: an entry's name, a run folder as a path, or an address on the Hub: ``"conv_vae_mnist"``,
            ``"./runs/mine"``, ``"hf-hub:owner/name@revision"``.
        device: the device to put it on; ``"auto"`` takes the best there is.
        endpoint: the Hub's web address; None: ``$HF_ENDPOINT``, or else the public one.
        encoder: the encoder of a model whose author's own it is, or what makes it: the class that ``config.json``
            names. Nothing is imported by that name.
        decoder: the decoder, likewise.

    Raises:
        ZooError: there is no such entry, folder or repository, a file is missing or damaged, or the weights do not
            fit the recipe; or encoder and decoder are needed, or not.
    """
    location = find(source, endpoint=endpoint)
    if os.path.isfile(location.folder):  # unlike Path.is_file, also of names that are too long
        raise ZooError(
            f"{source} is a file; zoo.load takes a run folder, which `zoo train` writes: it holds the weights "
            f"(model.safetensors) and the recipe that says which model they belong to (config.json). Weights from "
            f"elsewhere become one with `zoo convert`, or go into a model of zoo.create_model with its load_state_dict"
        )
    with handing_in(encoder, decoder):
        model = load_folder(location.folder, device, trusted=location.trusted)
    assert model.config is not None  # as of every model that is loaded
    if encoder is not None and not model.config.has_own_modules:
        raise ZooError(f"{source} has the layers that its recipe says; drop encoder and decoder")
    model.origin = location.origin
    logging.getLogger("zoo").info("loaded %s from %s", source, location.origin)
    return model


def _fetch(source: str, sha256: str | None, full: bool, endpoint: str | None) -> RunLocation:
    from zoo.hub.cache import fetch, warn_unpinned  # here, because what is shipped needs no client
    from zoo.hub.client import Hub

    address = Address.parse(source)
    run = fetch(address, Hub(endpoint), full=full, weights_sha256=sha256)
    if not address.pinned:
        warn_unpinned(address, run.address, 5)
    origin = f"{'' if run.downloaded else 'the cache: '}{run.address}"
    return RunLocation(run.folder, origin, run.address)
