"""The plan of a push: the changes that it would make to a repository, if it may."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import ZooError
from zoo.hub.cache import RepoListing, download
from zoo.hub.client import Hub
from zoo.hub.contents import RunContents
from zoo.runs.card import is_generated
from zoo.runs.folder import CARD_FILE, CONFIG_FILE, MAX_CONFIG_BYTES, RUN_FILES, read_config
from zoo.schema.hub_address import Address
from zoo.system.files import MAX_RECORD_BYTES, read_file

FREE_REPO_FILES = frozenset({".gitattributes", "LICENSE", "LICENSE.md", "LICENSE.txt", CARD_FILE})
"""The files that a repository may hold and still be free."""


@dataclass(frozen=True)
class Plan:
    """The changes that a push would make."""

    address: Address
    endpoint: str
    files: dict[str, int]
    """The bytes of each file that is sent."""
    unchanged: tuple[str, ...]
    """The files that the repository has already."""
    removed: tuple[str, ...]
    """The files of an earlier run that this one does not have."""
    new: bool
    """True if the repository would be created."""
    private: bool | None
    """True if the repository is private, or will be; None for a new one that is as its owner's settings say."""
    notes: tuple[str, ...]
    """Remarks for the author, to be shown before the push."""


def make_plan(
    run: RunContents,
    address: Address,
    hub: Hub,
    base: RepoListing | None,
    *,
    private: bool = False,
    replace: bool = False,
    replace_card: bool = False,
) -> Plan:
    """Plan a push from the run's files and those of the repository.

    Args:
        run: the files to push.
        address: the repository and the branch.
        hub: the endpoint to ask.
        base: the files of the repository; None: there is no repository.
        private, replace, replace_card: as in :func:`zoo.hub.push`.

    Raises:
        ZooError: the name is taken, or a private run would become public.
    """
    if base is None:
        sizes = {name: len(content) for name, content in run.files.items()}
        return Plan(address, hub.endpoint, sizes, (), (), True, private or None, run.notes)
    if private and not base.private:
        raise ZooError(f"{address.repository} is public already; make it private there, or push elsewhere")
    if ".gitignore" in base.sizes:
        raise ZooError(f"{address.repository} has a .gitignore, by which the Hub leaves out files; remove it there")
    same = holds_same_model(run, address, hub, base, replace)
    files, notes = dict(run.files), list(run.notes)
    kept_card = None if replace_card or not same else edited_card(run, address, hub, base)
    if kept_card is not None:
        del files[CARD_FILE]
        notes.append(f"the {CARD_FILE} there was edited by hand and stays; --replace-card replaces it by this one")
        if run.config.weights_sha256 not in kept_card:
            notes.append(f"that {CARD_FILE} is not about these weights")
    unchanged = tuple(name for name, content in files.items() if base.holds(name, content))
    return Plan(
        address=address,
        endpoint=hub.endpoint,
        files={name: len(content) for name, content in files.items() if name not in unchanged},
        unchanged=unchanged,
        removed=tuple(sorted((RUN_FILES & base.sizes.keys()) - run.files.keys())),
        new=False,
        private=base.private,
        notes=tuple(notes),
    )


def holds_same_model(run: RunContents, address: Address, hub: Hub, base: RepoListing, replace: bool) -> bool:
    """Return whether a repository holds the model of the run, or is free; False: another model, to be replaced.

    Raises:
        ZooError: the repository holds something else, or another model that may not be replaced.
    """
    if not base.sizes.keys() - FREE_REPO_FILES:
        return True
    refusal = f"the name {address.repository} is taken by something else than a model of the zoo; choose another"
    if CONFIG_FILE not in base.sizes or base.exceeds(CONFIG_FILE, MAX_CONFIG_BYTES):
        raise ZooError(refusal)
    path = download(address.at(base.commit), hub, CONFIG_FILE, base)
    try:
        other = read_config(path.parent).name
    except ZooError as error:
        raise ZooError(refusal) from error
    if other != run.config.name and not replace:
        raise ZooError(
            f"{address.repository} holds the model {other!r}, not {run.config.name!r}; push to another repository, or "
            f"replace that model with --replace"
        )
    return other == run.config.name


def edited_card(run: RunContents, address: Address, hub: Hub, base: RepoListing) -> str | None:
    """Return the repository's card, if it was edited by hand and differs from the run's; else None."""
    if CARD_FILE not in base.sizes or base.holds(CARD_FILE, run.files[CARD_FILE]):
        return None
    if base.exceeds(CARD_FILE, MAX_RECORD_BYTES):
        return ""
    card = read_file(download(address.at(base.commit), hub, CARD_FILE, base)).decode("utf-8", errors="replace")
    return None if is_generated(card) else card
