"""The cache that all tools share: a repository is listed first, then fetched into it at one commit."""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from huggingface_hub import hf_hub_download, try_to_load_from_cache

from zoo.errors import ZooError
from zoo.hub.client import Hub, Offline, Unreachable
from zoo.hub.guards import bounded_progress
from zoo.runs.folder import CONFIG_FILE, MAX_CONFIG_BYTES, RUN_FILES, WEIGHTS_FILE, read_config
from zoo.schema.hub_address import COMMIT, Address
from zoo.system.files import MAX_RECORD_BYTES, read_file, sha256, sha256_of_file

ESSENTIAL_FILES = frozenset({CONFIG_FILE, WEIGHTS_FILE})
PICKLE_ENDINGS = (".bin", ".ckpt", ".h5", ".joblib", ".keras", ".pickle", ".pkl", ".pt", ".pth")
"""The endings of weights that run code when they are opened, or may."""

MAX_WEIGHTS_BYTES = 2 * 2**30
"""The most bytes of the weights, unless the caller allows more."""


@dataclass(frozen=True)
class CachedRun:
    """The files of one commit, in the cache."""

    folder: Path
    address: Address
    """The address of the run, pinned to the commit."""
    downloaded: bool
    """True if the weights were downloaded by this call; False if they came from the cache."""


@dataclass(frozen=True)
class RepoListing:
    """The files of a repository at one commit."""

    commit: str
    private: bool
    sizes: dict[str, int | None]
    """The bytes of each file; None where the server, perhaps a mirror, does not say."""
    blobs: dict[str, str]
    """Git's identifier of each file's content, a sha1, as far as the server says it."""
    large: dict[str, str]
    """The sha256 of each large file's content."""

    def holds(self, name: str, content: bytes) -> bool:
        """Return whether the repository is known to have a file with this content."""
        if name in self.large:
            return self.large[name] == sha256(content)
        blob = b"blob %d\0%s" % (len(content), content)
        return self.blobs.get(name) == hashlib.sha1(blob, usedforsecurity=False).hexdigest()

    def exceeds(self, name: str, largest: float) -> bool:
        """Return whether a file is known to have more bytes; of one whose size nobody says, the download ends there."""
        size = self.sizes[name]
        return size is not None and not 0 <= size <= largest


def fetch(
    address: Address, hub: Hub, *, full: bool = False, weights_sha256: str | None = None, limit: int = MAX_WEIGHTS_BYTES
) -> CachedRun:
    """Fetch the files of a model, from the cache or the Hub, and check its weights against its config.

    A commit that is in the cache costs no request. Without a network, a branch stands for the commit last fetched.

    Args:
        address: the repository and revision.
        hub: the endpoint to ask.
        full: fetch also what is not needed to load it: card, drawn figures, history, snapshots.
        weights_sha256: the sha256 that the weights must have.
        limit: the most bytes of the weights.

    Raises:
        ZooError: there is no such model, it is too large, incomplete, holds pickles only, or is not what was expected.
    """
    if address.pinned and (folder := cached(address, hub, RUN_FILES if full else ESSENTIAL_FILES)):
        return _verified(CachedRun(folder, address, downloaded=False), weights_sha256)
    try:
        listing = list_repo(address, hub)
    except Unreachable as error:
        folder = cached(address, hub, ESSENTIAL_FILES)
        if not folder:
            raise
        pinned = address.at(folder.name)
        if not address.pinned and not isinstance(error, Offline):
            warnings.warn(f"{error}; meanwhile, {pinned} is taken from the cache", stacklevel=2)
        if full and not any((folder / name).exists() for name in RUN_FILES - ESSENTIAL_FILES):
            warnings.warn(f"of {pinned}, the cache has only what is needed to load it", stacklevel=2)
        return _verified(CachedRun(folder, pinned, downloaded=False), weights_sha256)
    check_usable(listing, address, math.inf if cached(address.at(listing.commit), hub, ESSENTIAL_FILES) else limit)
    names = listing.sizes.keys() & (RUN_FILES if full else ESSENTIAL_FILES)
    pinned = address.at(listing.commit)
    downloaded = cached(pinned, hub, ESSENTIAL_FILES) is None
    folder = download(pinned, hub, CONFIG_FILE, listing).parent
    expected = read_config(folder).weights_sha256
    if listing.large.get(WEIGHTS_FILE, expected) != expected or (weights_sha256 or expected) != expected:
        raise ZooError(f"the weights of {pinned} are not those that its {CONFIG_FILE} or the pin names")
    for name in sorted(names - {CONFIG_FILE}):
        download(pinned, hub, name, listing, limit)
    run = _verified(CachedRun(folder, pinned, downloaded), weights_sha256)
    if not address.pinned:  # once all is there, by the revision's own name: without a network the cache then knows it
        download(address, hub, CONFIG_FILE, listing)
    return run


def cached(address: Address, hub: Hub, names: Iterable[str]) -> Path | None:
    """Return the folder in the cache that has all these files of a revision, or None."""
    paths = [try_to_load_from_cache(address.repository, name, hub.cache, address.revision) for name in names]
    folders = {Path(path).parent for path in paths if isinstance(path, str)}
    if len(folders) != 1 or not all(isinstance(path, str) for path in paths):
        return None
    folder = folders.pop()
    return folder if folder.name == address.revision or not address.pinned else None


def list_repo(address: Address, hub: Hub) -> RepoListing:
    """List the files of a repository, before anything is downloaded.

    Raises:
        ZooError: there is no such repository or revision, or no network.
    """
    with hub.explaining(address):
        info = hub.api.model_info(address.repository, revision=address.revision, files_metadata=True)
        if not re.fullmatch(COMMIT, str(info.sha)):
            raise ValueError("a revision without a commit")
        if address.pinned and info.sha != address.revision:
            raise ValueError("another commit than the one that was asked for")
        siblings = {str(file.rfilename): file for file in info.siblings or []}
        return RepoListing(
            commit=str(info.sha),
            private=bool(info.private),
            sizes={name: None if file.size is None else int(file.size) for name, file in siblings.items()},
            blobs={name: str(file.blob_id) for name, file in siblings.items() if file.blob_id},
            large={name: file.lfs.sha256 for name, file in siblings.items() if file.lfs},
        )


def check_usable(listing: RepoListing, address: Address, limit: float) -> None:
    """Refuse a repository that holds no model of the zoo, or too large a one.

    Raises:
        ZooError: a file is missing, is a pickle, or is too large.
    """
    missing = sorted(ESSENTIAL_FILES - listing.sizes.keys())
    if missing:
        pickles = sorted(name for name in listing.sizes if name.endswith(PICKLE_ENDINGS))
        if pickles and WEIGHTS_FILE in missing:
            raise ZooError(
                f"{address} has its weights in {', '.join(pickles[:3])} only: such files can run code when they are "
                f"opened, and the zoo never does; ask for {WEIGHTS_FILE}"
            )
        raise ZooError(f"{address} holds no model of the zoo: {' and '.join(missing)} missing")
    for name in RUN_FILES & listing.sizes.keys():
        largest = max_bytes(name, limit)
        if listing.exceeds(name, largest):
            more = f"; zoo pull {address} --max-bytes N allows more" if name == WEIGHTS_FILE else ""
            raise ZooError(f"{name} of {address} has {listing.sizes[name]:,} bytes, more than {largest:,}{more}")


def max_bytes(name: str, weights: float = MAX_WEIGHTS_BYTES) -> float:
    """Return the most bytes that a file of this name may have, if the weights may have this many."""
    return {WEIGHTS_FILE: weights, CONFIG_FILE: MAX_CONFIG_BYTES}.get(name, MAX_RECORD_BYTES)


def download(address: Address, hub: Hub, name: str, listing: RepoListing, limit: float = MAX_WEIGHTS_BYTES) -> Path:
    """Download one file into the cache, if it is not there; at most ``limit`` bytes of weights.

    Raises:
        ZooError: it cannot be had, or is not what the listing says.
    """
    folder = cached(address.at(listing.commit), hub, [name])
    if folder and not _as_listed(folder / name, name, listing):
        _drop(folder / name)
        folder = None
    if folder and address.pinned:
        return folder / name
    size = listing.sizes[name]
    bound = (max_bytes(name, limit), "that such a file may have") if size is None else (size, "that it announced")
    with hub.explaining(address, name):
        path = Path(
            hf_hub_download(
                address.repository,
                name,
                revision=address.revision,
                cache_dir=hub.cache,
                endpoint=hub.endpoint,
                token=hub.token,
                tqdm_class=bounded_progress(*bound),
                **hub.library,
            )
        )
    if not _inside(path):
        path.unlink()
        raise ZooError(f"{name} of {address} would lie outside of the cache; the server is not to be trusted")
    if path.parent.name != listing.commit:
        raise ZooError(f"{address} has changed during the download; try again")
    if not _as_listed(path, name, listing):
        _drop(path)
        raise ZooError(f"{name} of {address} arrived damaged and was removed again; try again")
    return path


def _as_listed(path: Path, name: str, listing: RepoListing) -> bool:
    """Return whether a file has the digest that the listing states; the weights are checked against the config."""
    if name in listing.large or name not in listing.blobs:
        return True
    return not path.exists() or listing.holds(name, read_file(path))


def _verified(run: CachedRun, weights_sha256: str | None) -> CachedRun:
    """Return a run whose weights are what config and pin say; damaged ones leave the cache, so as to be fetched again.

    Raises:
        ZooError: they are damaged, or not those of the pin.
    """
    config = read_config(run.folder)
    weights = run.folder / WEIGHTS_FILE
    digest = sha256_of_file(weights)
    if digest != config.weights_sha256:
        _drop(weights)
        _drop(run.folder / CONFIG_FILE)  # either of the two may be the damaged one
        raise ZooError(
            f"the weights of {run.address} are damaged or not those that its {CONFIG_FILE} describes: their "
            f"sha256 differs; both were removed from the cache, so try again"
        )
    if weights_sha256 not in (None, digest):
        raise ZooError(f"the weights of {run.address} are not those that the pin names: their sha256 differs")
    return run


def _inside(path: Path) -> bool:
    """Return whether a file, ``REPOSITORY/snapshots/COMMIT/NAME``, has its content in the folder of its repository."""
    return path.resolve().is_relative_to(path.parents[2].resolve())


def _drop(path: Path) -> None:
    """Remove a file from the cache, together with the content that it may link to there."""
    try:
        content = path.resolve() if _inside(path) else path
        path.unlink(missing_ok=True)
        content.unlink(missing_ok=True)
    except OSError as error:
        raise ZooError(f"cannot remove the damaged file {path}: {error.strerror}; remove it yourself") from error


@cache
def warn_unpinned(address: Address, pinned: Address, caller: int) -> None:
    """Warn once in a program for each address; ``caller`` is the number of calls up to the user's own line."""
    warnings.warn(f"{address} is not pinned and can change; write {pinned} to have this one always", stacklevel=caller)
