"""Push: a run folder to the Hub, in one commit on top of the one that was looked at, or not at all."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from zoo import __version__
from zoo.artifacts import CARD_FILE, CONFIG_FILE, LARGEST_CONFIG, LARGEST_RECORD, RUN_FILES, read_config, read_file
from zoo.card import is_generated
from zoo.errors import ZooError
from zoo.hub.address import MAIN, Address
from zoo.hub.cache import Listing, download, look
from zoo.hub.client import Absent, Conflict, Hub, NoRevision, Unreachable
from zoo.hub.outgoing import Outgoing, read_run
from zoo.sections import HubPin

ATTEMPTS = 3
"""At the commit itself; the client repeats the uploads before it by itself."""

BARE = frozenset({".gitattributes", ".gitignore", "LICENSE", "LICENSE.md", "LICENSE.txt", CARD_FILE})
"""What a repository may hold and still be free."""


@dataclass(frozen=True)
class Plan:
    """What a push does."""

    address: Address
    endpoint: str
    files: dict[str, int]
    """What is sent: file → bytes."""
    unchanged: tuple[str, ...]
    """What is there already."""
    removed: tuple[str, ...]
    """Files of an earlier run that this one does not have."""
    new: bool
    """Whether the repository is made."""
    private: bool
    notes: tuple[str, ...]
    """What its author may want to know before."""


@dataclass(frozen=True)
class Commit:
    """One that holds the run."""

    sha: str
    url: str
    pull_request: str | None = None


@dataclass(frozen=True)
class Pushed:
    """What a push has done."""

    plan: Plan
    address: Address
    """Pinned to the commit."""
    pin: HubPin
    """For the recipe's field ``hub``."""
    commit_url: str
    changed: bool
    """False: all of it was there already."""
    pull_request: str | None
    """Its web address."""


@dataclass(frozen=True)
class Upload:
    """A run folder on its way to a repository; see :func:`push`."""

    folder: Path
    repository: str
    private: bool = False
    branch: str = MAIN
    tag: str | None = None
    pull_request: bool = False
    message: str = ""
    replace: bool = False
    replace_card: bool = False
    endpoint: str | None = None
    token: str | None = None

    @cached_property
    def hub(self) -> Hub:
        """Where to."""
        return Hub(self.endpoint, self.token)

    @cached_property
    def address(self) -> Address:
        """The repository and the branch."""
        if self.tag:
            Address(self.repository, self.tag)
        return Address(self.repository, self.branch)

    @cached_property
    def run(self) -> Outgoing:
        """What goes there."""
        return read_run(self.folder, str(self.address))

    def plan(self) -> Plan:
        """What :meth:`push` would do; nothing is written.

        Raises:
            ZooError: it would be refused, as far as that can be told without writing.
        """
        return self._plan(self._look())

    def push(self, told: Callable[[Plan], object] = id) -> Pushed:
        """Make the commit; see :func:`push`.

        Args:
            told: called with the plan before anything is sent.
        """
        self.hub.need_token()
        base = self._look()
        plan = self._plan(base)
        if base is None:
            base = self._create()
            plan = replace(self._plan(base), new=True)  # it may have been made by another process
        if self.tag:
            self._check_tag(self.tag)
        told(plan)
        if self.branch != MAIN:
            with self.hub.explaining(self.address):
                self.hub.api.create_branch(self.repository, branch=self.branch, revision=base.commit, exist_ok=True)
        changed = bool(plan.files or plan.removed)
        commit = self._commit(plan, base) if changed else self._found(base.commit)
        pushed = self.address.at(commit.sha)
        if self.tag:
            try:
                with self.hub.explaining(pushed):
                    self.hub.api.create_tag(self.repository, tag=self.tag, revision=commit.sha)
            except ZooError as error:
                raise ZooError(f"pushed as {pushed}, but without the tag {self.tag!r}: {error}") from error
        return Pushed(
            plan=plan,
            address=pushed,
            pin=HubPin(repo=self.repository, revision=commit.sha, sha256=self.run.config.weights_sha256),
            commit_url=commit.url,
            changed=changed,
            pull_request=commit.pull_request,
        )

    def _look(self) -> Listing | None:
        """The commit to build on; None: there is no repository yet."""
        try:
            return look(self.address, self.hub)
        except Absent as error:
            if self.pull_request:
                raise ZooError(f"{error}; a pull request needs a repository") from error
            return None
        except NoRevision:
            if self.pull_request:
                raise
            return look(self.address.at(MAIN), self.hub)

    def _plan(self, base: Listing | None) -> Plan:
        files, notes, removed, unchanged = self.run.files, list(self.run.notes), [], []
        if base:
            if self.private and not base.private:
                raise ZooError(f"{self.repository} is public already; make it private there, or push elsewhere")
            self._check_same_model(base)
            removed = sorted((RUN_FILES & base.sizes.keys()) - files.keys())
            if self._keeps_card(base):
                files = {name: content for name, content in files.items() if name != CARD_FILE}
                notes.append(f"the {CARD_FILE} was edited on the Hub and stays as it is; --replace-card writes it anew")
            unchanged = [name for name, content in files.items() if base.holds(name, content)]
        return Plan(
            address=self.address,
            endpoint=self.hub.endpoint,
            files={name: len(content) for name, content in files.items() if name not in unchanged},
            unchanged=tuple(unchanged),
            removed=tuple(removed),
            new=base is None,
            private=base.private if base else self.private,
            notes=tuple(notes),
        )

    def _check_same_model(self, base: Listing) -> None:
        """Refuse a repository that holds something else."""
        if not base.sizes.keys() - BARE:
            return
        taken = f"the name {self.repository} is taken by something else than a model of the zoo; choose another"
        if base.sizes.get(CONFIG_FILE, LARGEST_CONFIG + 1) > LARGEST_CONFIG:
            raise ZooError(taken)
        path = download(self.address.at(base.commit), self.hub, CONFIG_FILE, base)
        try:
            other = read_config(path.parent).name
        except ZooError as error:
            raise ZooError(taken) from error
        if other != self.run.config.name and not self.replace:
            raise ZooError(
                f"{self.repository} holds the model {other!r}, not {self.run.config.name!r}; push to another "
                f"repository, or put this one in its place with --replace"
            )

    def _keeps_card(self, base: Listing) -> bool:
        """Whether the card on the Hub was edited by hand."""
        if CARD_FILE not in base.sizes or self.replace_card:
            return False
        if base.sizes[CARD_FILE] > LARGEST_RECORD:
            return True
        path = download(self.address.at(base.commit), self.hub, CARD_FILE, base)
        return not is_generated(read_file(path).decode("utf-8", errors="replace"))

    def _create(self) -> Listing:
        with self.hub.explaining(self.address):
            self.hub.api.create_repo(self.repository, private=self.private, exist_ok=True)
        try:
            return look(self.address.at(MAIN), self.hub)
        except Absent as error:
            raise ZooError(f"the name {self.repository} is taken; choose another ({error})") from error

    def _check_tag(self, tag: str) -> None:
        with self.hub.explaining(self.address):
            refs = self.hub.api.list_repo_refs(self.repository)
        for ref in refs.tags:
            if ref.name == tag:
                raise ZooError(f"{self.repository} has the tag {tag!r} already, at {ref.target_commit}; choose another")

    def _commit(self, plan: Plan, base: Listing) -> Commit:
        # In memory: what was checked is what goes; and such files go by a protocol that every server has.
        additions = [CommitOperationAdd(name, io.BytesIO(self.run.files[name])) for name in plan.files]
        with self.hub.explaining(self.address):
            self.hub.api.preupload_lfs_files(
                self.repository, additions, revision=self.branch, create_pr=self.pull_request, free_memory=False
            )
        for attempt in range(ATTEMPTS):
            try:
                with self.hub.explaining(self.address):
                    made = self.hub.api.create_commit(
                        self.repository,
                        [*additions, *(CommitOperationDelete(name) for name in plan.removed)],
                        commit_message=self.message or f"Push {self.run.config.name}",
                        commit_description=f"autoencoder-zoo {__version__}, recipe {self.run.config.recipe_sha256}",
                        revision=self.branch,
                        parent_commit=base.commit,
                        create_pr=self.pull_request,
                    )
                return Commit(made.oid, str(made.commit_url), made.pr_url)
            except Conflict as error:
                raise self._moved_on() from error
            except Unreachable:
                if self.pull_request or attempt + 1 == ATTEMPTS:  # a second one would be another pull request
                    raise
                time.sleep(2**attempt)
                if landed := self._landed(plan, base):
                    return landed
        raise AssertionError("unreachable")

    def _landed(self, plan: Plan, base: Listing) -> Commit | None:
        """The commit, if it was made and only the answer got lost."""
        try:
            now = look(self.address, self.hub)
        except Unreachable:
            return None
        if now.commit == base.commit:
            return None
        same = all(now.holds(name, self.run.files[name]) for name in plan.files)
        if not same or set(plan.removed) & now.sizes.keys():
            raise self._moved_on()
        return self._found(now.commit)

    def _found(self, sha: str) -> Commit:
        return Commit(sha, f"{self.hub.endpoint}/{self.repository}/commit/{sha}")

    def _moved_on(self) -> ZooError:
        return Conflict(
            f"{self.branch} of {self.repository} got another commit while this push was made, and nothing of this one "
            f"was written; look at {self.hub.endpoint}/{self.repository}/commits/{self.branch}, then push again"
        )


def push(
    folder: Path | str,
    repository: str,
    *,
    private: bool = False,
    branch: str = MAIN,
    tag: str | None = None,
    pull_request: bool = False,
    message: str = "",
    replace: bool = False,
    replace_card: bool = False,
    endpoint: str | None = None,
    token: str | None = None,
) -> Pushed:
    """Put a run folder into a repository, in one commit; other files in the folder stay where they are.

    Args:
        folder: what training wrote.
        repository: ``owner/name``; it is made if there is none.
        private: whether a new repository is; with one that is public already, the push is refused.
        branch: where the commit goes; it is made from ``main`` if there is none.
        tag: set on the commit.
        pull_request: propose the commit instead of making it.
        message: of the commit.
        replace: let another model of the zoo in the repository give way.
        replace_card: write the card anew even if it was edited on the Hub.
        endpoint: of the Hub; None: ``$HF_ENDPOINT``, or else the public one.
        token: None: ``$HF_TOKEN``, or else what ``hf auth login`` has stored.

    Raises:
        ZooError: the folder is no whole run, the token is missing or refused, the name is taken, the branch has moved
            on meanwhile, or there is no network. No file of it is then visible.
    """
    return Upload(
        Path(folder), repository, private, branch, tag, pull_request, message, replace, replace_card, endpoint, token
    ).push()
