"""Addresses of models on the Hub: ``hf-hub:owner/name@revision``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from zoo.errors import ZooError

PREFIX = "hf-hub:"
"""The beginning of every address."""

MAIN = "main"
"""The branch that an address without a revision means."""

COMMIT = r"[0-9a-f]{40}"
"""The pattern of a commit."""

REPOSITORY = r"(?!.*(--|\.\.))[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?/[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?"
"""The pattern of repositories that the Hub allows; ASCII only, so that no letter can pass for another."""

REVISION = r"(?!.*(//|\.\.))[A-Za-z0-9_]([A-Za-z0-9._/-]*[A-Za-z0-9_])?"
"""The pattern of revisions."""

MAX_NAME_LENGTH = 96
"""The most characters of a repository's name on the Hub."""

MAX_REVISION_LENGTH = 200
"""The most characters of a revision."""


@dataclass(frozen=True)
class Address:
    """A repository and a revision: a branch, a tag, a pull request's ``refs/pr/1``, or a commit.

    Raises:
        ZooError: on construction, if the Hub could not have such a repository or revision.
    """

    repository: str
    revision: str = MAIN

    def __post_init__(self) -> None:
        name = self.repository
        if not re.fullmatch(REPOSITORY, name) or len(name) > MAX_NAME_LENGTH or name.endswith(".git"):
            raise ZooError(
                f"{name[:MAX_NAME_LENGTH]!r} is not a repository on the Hub; write owner/name, of letters, digits, "
                f"'.', '_' and '-' ({PREFIX}owner/name@revision where a model is meant)"
            )
        if not re.fullmatch(REVISION, self.revision) or len(self.revision) > MAX_REVISION_LENGTH:
            raise ZooError(
                f"{self.revision[:MAX_REVISION_LENGTH]!r} is not a revision of {name}; write a branch, a tag or a "
                f"commit, as in {PREFIX}{name}@{MAIN}"
            )

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse ``hf-hub:owner/name`` or ``hf-hub:owner/name@revision``.

        Raises:
            ZooError: the text has no such prefix, or the Hub could not have such a repository or revision.
        """
        if not text.startswith(PREFIX):
            raise ZooError(f"{text[:MAX_NAME_LENGTH]!r}: write {PREFIX}owner/name, or {PREFIX}owner/name@revision")
        repository, at, revision = text.removeprefix(PREFIX).partition("@")
        return cls(repository, revision if at else MAIN)

    @property
    def pinned(self) -> bool:
        """True if the revision is a commit, whose files can never change."""
        return re.fullmatch(COMMIT, self.revision) is not None

    def at(self, revision: str) -> Address:
        """Return the address of the same repository at another revision."""
        return replace(self, revision=revision)

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision != MAIN else "")
