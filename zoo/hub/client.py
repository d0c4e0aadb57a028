"""The Hub's client: which endpoint, whose token, and what went wrong in words."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # of the HTTP library that huggingface_hub uses, httpx or its successor
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

from zoo.errors import ZooError, first_line, suggest
from zoo.schema.hub_address import Address

PUBLIC = "https://huggingface.co"
ENDPOINT = r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?"
LOGIN = "set HF_TOKEN or run `hf auth login`"

UNEXPECTED = (
    HTTPError, HFValidationError, OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError,
    ArithmeticError,
)  # fmt: skip
"""What the client raises where something is wrong with the network, the Hub or its answer."""


class Absent(ZooError):
    """There is no such repository, or it does not show itself to this token."""


class NoRevision(ZooError):
    """The repository has no such branch, tag or commit."""


class Unreachable(ZooError):
    """No answer, or none that says anything: no network, offline mode, or the Hub has trouble."""


class Offline(Unreachable):
    """The user wants no network."""


class Conflict(ZooError):
    """The branch has moved on."""


class Hub:
    """One endpoint, and who is asking.

    Args:
        endpoint: ``https://...``; None: ``$HF_ENDPOINT``, or else the public Hub.
        token: None: ``$HF_TOKEN``, or else what ``hf auth login`` has stored.

    Raises:
        ZooError: the endpoint is no web address.
    """

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        from zoo._version import __version__

        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or PUBLIC).rstrip("/")
        if not re.fullmatch(ENDPOINT, self.endpoint):
            raise ZooError(f"{self.endpoint!r} is no endpoint of a Hub; write https://... (--endpoint or HF_ENDPOINT)")
        self.token = token or get_token()
        if self.token and not (self.token.isascii() and self.token.isprintable()):
            raise ZooError(f"the token holds characters that no token has; {LOGIN}")
        self.library: dict[str, Any] = {"library_name": "autoencoder-zoo", "library_version": __version__}
        self.api = HfApi(endpoint=self.endpoint, token=self.token, **self.library)

    def need_token(self) -> None:
        """Raises: ZooError: there is none."""
        if not self.token:
            raise ZooError(f"pushing to {self.endpoint} needs a token with write access; {LOGIN}")

    @property
    def cache(self) -> Path:
        """Where its files are kept: what another Hub than the public one calls a commit is kept apart."""
        shared = Path(constants.HF_HUB_CACHE)
        if self.endpoint == PUBLIC:
            return shared
        return shared.with_name(f"{shared.name}-{re.sub('[^A-Za-z0-9.-]', '_', self.endpoint.partition('://')[2])}")

    @contextmanager
    def explaining(self, address: Address, what: str = "") -> Iterator[None]:
        """Turn what the client raises into one message for the user.

        Args:
            address: what is asked for.
            what: a file of it.
        """
        _check_answers()
        with _quiet():
            try:
                yield
            except ZooError:
                raise
            except UNEXPECTED as error:
                raise self._explain(error, address, what) from error

    def _explain(self, error: BaseException, address: Address, what: str) -> ZooError:
        chain = list(_causes(error))
        answer = next((e for e in chain if isinstance(e, HfHubHTTPError)), None)
        if answer is not None:
            return self._refused(answer, address, what)
        if any(isinstance(e, OfflineModeIsEnabled) for e in chain):
            return Offline(f"{address} is not in the cache and HF_HUB_OFFLINE is set; unset it to fetch or push")
        lost = next((e for e in chain if isinstance(e, HTTPError | ConnectionError | TimeoutError)), None)
        if lost is not None or isinstance(error, LocalEntryNotFoundError):
            return Unreachable(
                f"cannot reach {self.endpoint} ({first_line(lost or error)}); check the network"
                f"{'' if self.endpoint == PUBLIC else ' and HF_ENDPOINT'}, then try again"
            )
        if isinstance(error, OSError) and "Consistency check failed" in str(error):
            return Unreachable(f"{address}: {what} arrived incomplete; try again")
        if isinstance(error, OSError) and error.strerror:
            return ZooError(f"{address}: cannot write {error.filename or 'to the cache'}: {error.strerror}")
        problem = f"{type(error).__name__}: {first_line(error)}"
        return ZooError(f"{self.endpoint} gave no answer that a Hub gives ({problem})")

    def _refused(self, error: HfHubHTTPError, address: Address, what: str) -> ZooError:
        status = error.response.status_code
        said = error.server_message or error.response.headers.get("X-Error-Message") or ""
        words = f" ({first_line(said)})" if said else ""
        repository = f"{address.repository} on {self.endpoint}"
        if isinstance(error, GatedRepoError):
            return ZooError(f"{repository} is gated: ask for access on {self.endpoint}/{address.repository}")
        if isinstance(error, RevisionNotFoundError):
            return NoRevision(f"{repository} has no revision {address.revision!r}{self._close(address)}")
        if isinstance(error, EntryNotFoundError):
            return ZooError(f"{address} has no file {what}")
        if isinstance(error, RepositoryNotFoundError):
            hidden = "your token may not see it" if self.token else f"it is private: {LOGIN}"
            return Absent(f"there is no model repository {repository}, or {hidden}")
        remedies = {
            401: f"the token was refused: it is wrong, expired or revoked; {LOGIN}",
            403: "your token may not do that; a push needs write access, and a place in the organization",
            400: "the server refuses it; if it is about the card, mend source.license or README.md",
            404: "there is no such thing",
            409: "that is in conflict with what is there; look at the repository, then try again",
            412: "the branch has moved on",
            413: "that is more than the server takes",
            429: f"too many requests; {_wait(error)}",
        }
        if status >= 500:
            return Unreachable(f"{self.endpoint} has trouble ({status}){words}; try again later")
        remedy = remedies.get(status, f"the server answered {status}")
        return (Conflict if status == 412 else ZooError)(f"{repository}: {remedy}{words}")

    def _close(self, address: Address) -> str:
        """Which revisions there are; nothing where that cannot be found out."""
        try:
            refs = self.api.list_repo_refs(address.repository)
        except (HTTPError, OSError, ValueError, KeyError, TypeError):
            return ""
        return suggest(address.revision, [ref.name for ref in (*refs.branches, *refs.tags)][:1000])


_quieting = threading.Lock()
_quiet_now = 0
_level = logging.NOTSET


@contextmanager
def _quiet() -> Iterator[None]:
    """The client tells of each attempt, we tell of the outcome; several threads may be at it."""
    global _quiet_now, _level
    log = logging.getLogger("huggingface_hub")
    with _quieting:
        if not _quiet_now:
            _level = log.level
            log.setLevel(logging.ERROR)
        _quiet_now += 1
    try:
        yield
    finally:
        with _quieting:
            _quiet_now -= 1
            if not _quiet_now:
                log.setLevel(_level)


def _check_answers() -> None:
    """The client names files in its cache after headers: let none through that leads somewhere else."""
    session = get_session()
    hooks = session.event_hooks
    if _refuse_paths not in hooks.get("response", []):
        session.event_hooks = {**hooks, "response": [*hooks.get("response", []), _refuse_paths]}


def _refuse_paths(response: Any) -> None:
    for header in ("ETag", "X-Linked-ETag", "X-Repo-Commit"):
        value = response.headers.get(header, "")
        if "X-Repo-Commit" in response.headers and not re.fullmatch(r'(W/)?"?[0-9A-Za-z-]{0,200}"?', value):
            raise ValueError(f"a header {header} that is no identifier")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _wait(error: HfHubHTTPError) -> str:
    seconds = error.response.headers.get("Retry-After", "")
    return f"wait {seconds} seconds" if seconds.isdigit() else "wait a while"
