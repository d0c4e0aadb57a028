"""Push: a run folder to the Hub, in one commit on top of the one that was looked at, or not at all."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from zoo._version import __version__
from zoo.errors import ZooError
from zoo.hub.cache import Listing, look
from zoo.hub.client import Absent, Conflict, Hub, NoRevision, Unreachable
from zoo.hub.outgoing import Outgoing, read_run
from zoo.hub.plan import BARE, Plan, make_plan
from zoo.schema.hub_address import MAIN, PREFIX, Address
from zoo.schema.sections import HubPin

ATTEMPTS = 3
"""At the commit; the client repeats the uploads before it by itself."""


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
    without_pictures: bool = False
    endpoint: str | None = None
    token: str | None = None

    @cached_property
    def hub(self) -> Hub:
        """Where to."""
        return Hub(self.endpoint, self.token)

    @cached_property
    def address(self) -> Address:
        """The repository and the branch."""
        if self.repository.startswith((PREFIX, "http")):
            raise ZooError(f"{self.repository}: write owner/name; a branch or a tag goes into --branch or --tag")
        for option, name in (("--branch", self.branch), ("--tag", "v1" if self.tag is None else self.tag)):
            if Address(self.repository, name).pinned or name.startswith("refs/"):
                raise ZooError(f"{option} {name}: choose a name that cannot be taken for a commit or a pull request")
        if self.pull_request and (self.tag or self.branch != MAIN):
            raise ZooError("--pull-request proposes a commit to main: leave --branch and --tag away")
        return Address(self.repository, self.branch)

    @cached_property
    def run(self) -> Outgoing:
        """What goes there."""
        return read_run(self.folder, str(self.address), pictures=not self.without_pictures)

    def plan(self) -> Plan:
        """What :meth:`push` would do; nothing is written.

        Raises:
            ZooError: it would be refused, as far as that can be told without writing.
        """
        return self._plan(self._look()[0])

    def push(self, told: Callable[[Plan], object] = id) -> Pushed:
        """Make the commit; see :func:`push`.

        Args:
            told: called with the plan before anything is sent.
        """
        self.hub.need_token()
        base, branch_is_there = self._look()
        plan = self._plan(base)
        told(plan)
        base = base or self._create()
        changed = bool(plan.files or plan.removed)
        tagged = self._tagged(base, changed)
        if not branch_is_there and self.branch != MAIN:
            with self.hub.explaining(self.address):
                self.hub.api.create_branch(self.repository, branch=self.branch, revision=base.commit, exist_ok=True)
        commit = self._commit(plan, base) if changed else self._found(base.commit)
        pushed = self.address.at(commit.sha)
        if self.tag and not tagged:
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

    def _plan(self, base: Listing | None) -> Plan:
        wishes = {"private": self.private, "replace": self.replace, "replace_card": self.replace_card}
        return make_plan(self.run, self.address, self.hub, base, **wishes)

    def _look(self) -> tuple[Listing | None, bool]:
        """The commit to build on, or None where there is no repository yet; and whether the branch is there."""
        try:
            return look(self.address, self.hub), True
        except Absent as error:
            if self.pull_request:
                raise ZooError(f"{error}; a pull request needs a repository") from error
            return None, False
        except NoRevision:
            return look(self.address.at(MAIN), self.hub), False

    def _create(self) -> Listing:
        with self.hub.explaining(self.address):
            self.hub.api.create_repo(self.repository, private=self.private or None, exist_ok=True)
        try:
            base = look(self.address.at(MAIN), self.hub)
        except Absent as error:
            raise ZooError(f"the name {self.repository} is taken; choose another ({error})") from error
        if base.sizes.keys() - BARE:  # somebody else has made it in this moment
            raise self._moved_on()
        return base

    def _tagged(self, base: Listing, changed: bool) -> bool:
        """Whether the tag is where it is to be.

        Raises:
            ZooError: it is elsewhere, or one name would stand for a branch and a tag.
        """
        if self.tag is None and self.branch == MAIN:
            return True
        with self.hub.explaining(self.address):
            refs = self.hub.api.list_repo_refs(self.repository)
        tags = {ref.name: ref.target_commit for ref in refs.tags}
        if self.branch in tags or self.tag in {self.branch, *(ref.name for ref in refs.branches)}:
            raise ZooError(f"{self.repository}: one name cannot be a branch and a tag; choose another")
        if self.tag is None or self.tag not in tags:
            return self.tag is None
        if changed or tags[self.tag] != base.commit:
            there = tags[self.tag]
            raise ZooError(f"{self.repository} has the tag {self.tag!r} already, at {there}; choose another")
        return True

    def _commit(self, plan: Plan, base: Listing) -> Commit:
        for attempt in range(ATTEMPTS):
            try:
                return self._send(plan, base)
            except Conflict as error:
                landed = self._landed(plan, base) if attempt else None  # it may be ours that the branch has moved to
                if landed:
                    return landed
                raise self._moved_on() from error
            except Unreachable as error:
                time.sleep(2**attempt)
                if self.pull_request or attempt + 1 == ATTEMPTS:  # a second one would be another pull request
                    where = f"{self.hub.endpoint}/{self.repository}"
                    raise Unreachable(f"{error}; the commit may have arrived, so look at {where} before") from error
                if landed := self._landed(plan, base):
                    return landed
        raise AssertionError("the last attempt returns or raises")

    def _send(self, plan: Plan, base: Listing) -> Commit:
        # In memory: what was checked is what goes; and such files go by a protocol that every server has.
        additions = [CommitOperationAdd(name, io.BytesIO(self.run.files[name])) for name in plan.files]
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

    def _landed(self, plan: Plan, base: Listing) -> Commit | None:
        """The commit, if it was made and only the answer got lost; None: the branch is where it was.

        Raises:
            ZooError: it holds another commit, or the Hub cannot be asked.
        """
        now = look(self.address, self.hub)
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
    without_pictures: bool = False,
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
        without_pictures: leave out the files that show images of the test split.
        endpoint: of the Hub; None: ``$HF_ENDPOINT``, or else the public one.
        token: None: ``$HF_TOKEN``, or else what ``hf auth login`` has stored.

    Raises:
        ZooError: the folder is no whole run, the token is missing or refused, the name is taken, the branch has moved
            on meanwhile, or there is no network. No file of it is then visible.
    """
    upload = Upload(
        Path(folder), repository, private, branch, tag, pull_request, message, replace, replace_card, without_pictures,
        endpoint, token,
    )  # fmt: skip
    return upload.push()
