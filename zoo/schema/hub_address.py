"""``hf-hub:owner/name@revision``: where on the Hub a model is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from zoo.errors import ZooError

PREFIX = "hf-hub:"
MAIN = "main"
COMMIT = r"[0-9a-f]{40}"
REPOSITORY = r"(?!.*(--|\.\.))[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?/[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?"
"""As the Hub allows it; ASCII only, so that no letter can pass for another."""
REVISION = r"(?!.*(//|\.\.))[A-Za-z0-9_]([A-Za-z0-9._/-]*[A-Za-z0-9_])?"
LONGEST = 96
"""Characters of a repository's name, on the Hub."""


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
        if not re.fullmatch(REPOSITORY, name) or len(name) > LONGEST or name.endswith(".git"):
            raise ZooError(
                f"{name[:LONGEST]!r} is no repository on the Hub; write owner/name, of letters, digits, '.', '_' and "
                f"'-' ({PREFIX}owner/name@revision where a model is meant)"
            )
        if not re.fullmatch(REVISION, self.revision) or len(self.revision) > 200:
            raise ZooError(
                f"{self.revision[:200]!r} is no revision of {name}; write a branch, a tag or a commit, as in "
                f"{PREFIX}{name}@{MAIN}"
            )

    @classmethod
    def parse(cls, text: str) -> Address:
        """``hf-hub:owner/name`` or ``hf-hub:owner/name@revision``."""
        if not text.startswith(PREFIX):
            raise ZooError(f"{text[:LONGEST]!r}: write {PREFIX}owner/name, or {PREFIX}owner/name@revision")
        repository, at, revision = text.removeprefix(PREFIX).partition("@")
        return cls(repository, revision if at else MAIN)

    @property
    def pinned(self) -> bool:
        """Whether it names one commit, which can never hold anything else."""
        return re.fullmatch(COMMIT, self.revision) is not None

    def at(self, revision: str) -> Address:
        """The same repository at another revision."""
        return replace(self, revision=revision)

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision != MAIN else "")
