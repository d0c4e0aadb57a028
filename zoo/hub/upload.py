"""Push: a run folder goes to the Hub in one commit on top of the one that was looked at, or not at all."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from zoo._version import __version__
from zoo.errors import ZooError
from zoo.hub.cache import RepoListing, list_repo
from zoo.hub.client import Absent, Conflict, Hub, NoRevision, Unreachable
from zoo.hub.contents import NOTHING, RunContents, read_run
from zoo.hub.plan import FREE_REPO_FILES, Plan, make_plan
from zoo.schema.hub_address import MAIN, PREFIX, Address
from zoo.schema.sections import HubPin
from zoo.system.files import user_path

ATTEMPTS = 3
"""The number of attempts at the commit; the client itself repeats the uploads before it."""


@dataclass(frozen=True)
class Commit:
    """A commit that holds the run."""

    sha: str
    url: str
    pull_request: str | None = None


@dataclass(frozen=True)
class Pushed:
    """The outcome of a push, or of a dry run."""

    plan: Plan
    address: Address
    """The address of the run, pinned to the commit; after a dry run, the branch."""
    pin: HubPin | None
    """The value of the recipe's field ``hub``; None after a dry run."""
    commit_url: str
    changed: bool
    """True if a commit was made; False where the repository had all of it already, and after a dry run."""
    pull_request: str | None
    """The pull request's web address; None where there is none."""


def push(
    folder: str | os.PathLike[str],
    repository: str,
    *,
    private: bool = False,
    branch: str = MAIN,
    tag: str | None = None,
    pull_request: bool = False,
    message: str = "",
    replace: bool = False,
    replace_card: bool = False,
    without_test_images: bool = False,
    dry_run: bool = False,
    endpoint: str | None = None,
    token: str | None = None,
    drawn: Mapping[str, bytes] = NOTHING,
    on_plan: Callable[[Plan], object] = lambda plan: None,
) -> Pushed:
    """Put a run folder into a repository, in one commit; other files in the folder stay where they are.

    Args:
        folder: the run folder that training wrote, such as runs/mine.
        repository: ``owner/name``; it is created if there is none.
        private: make a new repository private; with one that is public already, the push is refused.
        branch: the branch of the commit (default: ``main``); a new one is created from ``main``.
        tag: set this tag on the commit, such as v1.
        pull_request: propose the commit instead of making it.
        message: the commit's message.
        replace: replace another model of the zoo in the repository.
        replace_card: overwrite a card that was edited on the Hub.
        without_test_images: leave out the files that show images of the test split.
        dry_run: report what would be sent, and write nothing.
        endpoint: the Hub's web address; by default ``$HF_ENDPOINT``, or else the public one.
        token: a token with write access; by default ``$HF_TOKEN``, or else what ``hf auth login`` has stored.
        drawn: figures by file name, such as ``samples.png``, for a folder that has none, as an entry in the package.
        on_plan: called with the plan before anything is sent.

    Raises:
        ZooError: the folder is no whole run, the token is missing or refused, the name is taken, the branch has moved
            on meanwhile, or there is no network. No file of it is then visible.
    """
    hub = Hub(endpoint, token)
    address = _address(repository, branch, tag, pull_request)
    if not dry_run:
        hub.need_token()
    run = read_run(user_path(folder), str(address), test_images=not without_test_images, drawn=drawn)
    base, branch_is_there = _look(hub, address, pull_request)
    plan = make_plan(run, address, hub, base, private=private, replace=replace, replace_card=replace_card)
    on_plan(plan)
    if dry_run:
        return Pushed(plan, address, None, "", False, None)
    upload = _Upload(hub, address, run, plan, message, pull_request)
    base = base or upload.create(private)
    changed = bool(plan.files or plan.removed)
    tagged = upload.is_tagged(tag, base, changed)
    if not branch_is_there and branch != MAIN:
        with hub.explaining(address):
            hub.api.create_branch(repository, branch=branch, revision=base.commit, exist_ok=True)
    commit = upload.commit(base) if changed else upload.commit_at(base.commit)
    pushed = address.at(commit.sha)
    if tag and not tagged:
        try:
            with hub.explaining(pushed):
                hub.api.create_tag(repository, tag=tag, revision=commit.sha)
        except ZooError as error:
            raise ZooError(f"pushed as {pushed}, but without the tag {tag!r}: {error}") from error
    pin = HubPin(repo=repository, revision=commit.sha, sha256=run.config.weights_sha256)
    return Pushed(plan, pushed, pin, commit.url, changed, commit.pull_request)


def _address(repository: str, branch: str, tag: str | None, pull_request: bool) -> Address:
    """Return the repository and the branch, if no name could be taken for a commit or a pull request."""
    if repository.startswith((PREFIX, "http")):
        raise ZooError(f"{repository}: write owner/name; a branch or a tag goes into --branch or --tag")
    for option, name in (("--branch", branch), ("--tag", "v1" if tag is None else tag)):
        if Address(repository, name).pinned or name.startswith("refs/"):
            raise ZooError(f"{option} {name}: choose a name that cannot be taken for a commit or a pull request")
    if pull_request and (tag or branch != MAIN):
        raise ZooError("--pull-request proposes a commit to main: drop --branch and --tag")
    return Address(repository, branch)


def _look(hub: Hub, address: Address, pull_request: bool) -> tuple[RepoListing | None, bool]:
    """Return the commit to build on, or None where there is no repository yet; and whether the branch is there."""
    try:
        return list_repo(address, hub), True
    except Absent as error:
        if pull_request:
            raise ZooError(f"{error}; a pull request needs a repository") from error
        return None, False
    except NoRevision:
        return list_repo(address.at(MAIN), hub), False


@dataclass(frozen=True)
class _Upload:
    """A run and the repository that it goes to."""

    hub: Hub
    address: Address
    run: RunContents
    plan: Plan
    message: str
    pull_request: bool

    @property
    def repository(self) -> str:
        return self.address.repository

    @property
    def branch(self) -> str:
        return self.address.revision

    def create(self, private: bool) -> RepoListing:
        with self.hub.explaining(self.address):
            self.hub.api.create_repo(self.repository, private=private or None, exist_ok=True)
        try:
            base = list_repo(self.address.at(MAIN), self.hub)
        except Absent as error:
            raise ZooError(f"the name {self.repository} is taken; choose another ({error})") from error
        if base.sizes.keys() - FREE_REPO_FILES:  # somebody else has just created it
            raise self._moved_on()
        return base

    def is_tagged(self, tag: str | None, base: RepoListing, changed: bool) -> bool:
        """Return whether the tag is on the commit already, or none is asked for.

        Raises:
            ZooError: it is on another commit, or one name would stand for a branch and a tag.
        """
        if tag is None and self.branch == MAIN:
            return True
        with self.hub.explaining(self.address):
            refs = self.hub.api.list_repo_refs(self.repository)
        tags = {ref.name: ref.target_commit for ref in refs.tags}
        if self.branch in tags or tag in {self.branch, *(ref.name for ref in refs.branches)}:
            raise ZooError(f"{self.repository}: one name cannot be a branch and a tag; choose another")
        if tag is None or tag not in tags:
            return tag is None
        if changed or tags[tag] != base.commit:
            raise ZooError(f"{self.repository} has the tag {tag!r} already, at {tags[tag]}; choose another")
        return True

    def commit(self, base: RepoListing) -> Commit:
        for attempt in range(ATTEMPTS):
            try:
                return self._send(base)
            except Conflict as error:
                landed = self._landed(base) if attempt else None  # the branch may have moved to this very commit
                if landed:
                    return landed
                raise self._moved_on() from error
            except Unreachable as error:
                time.sleep(2**attempt)
                if self.pull_request or attempt + 1 == ATTEMPTS:  # a second one would be another pull request
                    where = f"{self.hub.endpoint}/{self.repository}"
                    raise Unreachable(f"{error}; the commit may have arrived, so look at {where} before") from error
                if landed := self._landed(base):
                    return landed
        raise AssertionError("the last attempt returns or raises")

    def _send(self, base: RepoListing) -> Commit:
        # From memory, so that exactly what was checked is sent, and by a protocol that every server has.
        additions = [CommitOperationAdd(name, io.BytesIO(self.run.files[name])) for name in self.plan.files]
        with self.hub.explaining(self.address):
            commit = self.hub.api.create_commit(
                self.repository,
                [*additions, *(CommitOperationDelete(name) for name in self.plan.removed)],
                commit_message=self.message or f"Push {self.run.config.name}",
                commit_description=f"autoencoder-zoo {__version__}, recipe {self.run.config.recipe_sha256}",
                revision=self.branch,
                parent_commit=base.commit,
                create_pr=self.pull_request,
            )
            return Commit(commit.oid, str(commit.commit_url), commit.pr_url)

    def _landed(self, base: RepoListing) -> Commit | None:
        """Return the commit, if it was made and only the answer got lost; None: the branch is unchanged.

        Raises:
            ZooError: the branch has another commit, or the Hub cannot be asked.
        """
        now = list_repo(self.address, self.hub)
        if now.commit == base.commit:
            return None
        same = all(now.holds(name, self.run.files[name]) for name in self.plan.files)
        if not same or set(self.plan.removed) & now.sizes.keys():
            raise self._moved_on()
        return self.commit_at(now.commit)

    def commit_at(self, sha: str) -> Commit:
        return Commit(sha, f"{self.hub.endpoint}/{self.repository}/commit/{sha}")

    def _moved_on(self) -> ZooError:
        return Conflict(
            f"{self.branch} of {self.repository} got another commit while this push was made, and nothing of this one "
            f"was written; look at {self.hub.endpoint}/{self.repository}/commits/{self.branch}, then push again"
        )
