"""The Hub's client: the endpoint, the token, and messages for what can go wrong."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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

from zoo._version import __version__
from zoo.errors import NotApplicable, ZooError, first_line, suggest
from zoo.hub.guards import filter_headers, quiet_log
from zoo.schema.hub_address import Address

PUBLIC_ENDPOINT = "https://huggingface.co"
ENDPOINT_PATTERN = r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?"
LOGIN_HINT = "set HF_TOKEN or run `hf auth login`"

CLIENT_ERRORS = (
    HTTPError, HFValidationError, OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError,
    ArithmeticError,
)  # fmt: skip
"""The exceptions that the client raises where the network, the Hub or its answer is at fault."""


class Absent(ZooError):
    """There is no such repository, or this token may not see it."""


class NoRevision(ZooError):
    """The repository has no such branch, tag or commit."""


class Unreachable(ZooError):
    """The Hub gives no answer, or none that says anything: no network, offline mode, or trouble on its side."""


class Offline(Unreachable):
    """The user has switched the network off."""


class Conflict(ZooError):
    """The branch has another commit than the one that was built on."""


class Hub:
    """One endpoint of a Hub, with the token that requests carry.

    Args:
        endpoint: the web address, ``https://...``; None: ``$HF_ENDPOINT``, or else the public Hub.
        token: a token of the user; None: ``$HF_TOKEN``, or else what ``hf auth login`` has stored.

    Raises:
        ZooError: the endpoint is no web address, or the token cannot be one.
    """

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or PUBLIC_ENDPOINT).rstrip("/")
        if not re.fullmatch(ENDPOINT_PATTERN, self.endpoint):
            raise ZooError(
                f"{self.endpoint!r} is not an endpoint of a Hub; write https://... (--endpoint or HF_ENDPOINT)"
            )
        self.token = token or get_token()
        if self.token and not (self.token.isascii() and self.token.isprintable()):
            raise ZooError(f"the token holds characters that no token has; {LOGIN_HINT}")
        if self.token and _in_clear(self.endpoint):
            warnings.warn(
                f"your token goes to {self.endpoint} unencrypted, where others on the network can read it; use https://",
                stacklevel=3,
            )
        self.library: dict[str, Any] = {"library_name": "autoencoder-zoo", "library_version": __version__}
        self.api = HfApi(endpoint=self.endpoint, token=self.token, **self.library)

    def need_token(self) -> None:
        """Refuse to go on without a token.

        Raises:
            ZooError: there is none.
        """
        if not self.token:
            raise ZooError(f"pushing to {self.endpoint} needs a token with write access; {LOGIN_HINT}")

    @property
    def cache(self) -> Path:
        """The folder of the cache; every Hub but the public one has its own, since its commits are others.

        Raises:
            NotApplicable: there is no home folder for it, as in a container; names ``HF_HOME``.
        """
        shared = Path(constants.HF_HUB_CACHE)
        if shared.parts[0].startswith("~"):  # the client would make a folder of this name
            raise NotApplicable("there is no home folder to keep the Hub's files in; set HF_HOME to a folder for them")
        if self.endpoint == PUBLIC_ENDPOINT:
            return shared
        return shared.with_name(f"{shared.name}-{re.sub('[^A-Za-z0-9.-]', '_', self.endpoint.partition('://')[2])}")

    @contextmanager
    def explaining(self, address: Address, what: str = "") -> Iterator[None]:
        """Turn what the client raises into one message for the user.

        Args:
            address: the repository that is asked for.
            what: the name of a file in it.

        Raises:
            ZooError: the client raised; a subclass where the caller can do something about it.
        """
        with quiet_log():
            try:
                filter_headers()
            except Exception as error:  # there is no client yet: what it reads is the environment
                raise _unusable(error) from error
            try:
                yield
            except ZooError:
                raise
            except CLIENT_ERRORS as error:
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
                f"{'' if self.endpoint == PUBLIC_ENDPOINT else ' and HF_ENDPOINT'}, then try again"
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
            hidden = "your token may not see it" if self.token else f"it is private: {LOGIN_HINT}"
            return Absent(f"there is no model repository {repository}, or {hidden}")
        remedies = {
            401: f"the token was refused: it is wrong, expired or revoked; {LOGIN_HINT}",
            403: "your token may not do that; a push needs write access, and membership of the organization",
            400: "the server refuses it; if it is about the card, correct source.license or README.md",
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
        """Write the end of a message, with the revisions that there are; empty where they cannot be listed."""
        try:
            refs = self.api.list_repo_refs(address.repository)
        except (HTTPError, OSError, ValueError, KeyError, TypeError):
            return ""
        return suggest(address.revision, [ref.name for ref in (*refs.branches, *refs.tags)][:1000])


CLIENT_VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables of the environment that the client reads before it asks anything."""


def _unusable(error: Exception) -> ZooError:
    """Return the error for an environment in which no client can be made: a proxy or certificates that do not work."""
    names = [name for upper in CLIENT_VARIABLES for name in (upper, upper.lower()) if os.environ.get(name)]
    values = ", ".join(f"{name}={re.sub('//[^@/]*@', '//...@', os.environ[name])}" for name in names)
    socks = "; a socks proxy needs `pip install 'httpx[socks]'`" if "socks" in values else ""
    remedy = f"correct or unset {values}{socks}" if values else "look at the settings of your network"
    return ZooError(f"no connection can be set up ({type(error).__name__}: {first_line(error)}); {remedy}")


def _in_clear(endpoint: str) -> bool:
    """Return whether an endpoint is reached without encryption, and is not this machine itself."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    return parts.scheme == "http" and host not in ("localhost", "::1") and not host.startswith("127.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _wait(error: HfHubHTTPError) -> str:
    seconds = error.response.headers.get("Retry-After", "")
    return f"wait {seconds} seconds" if seconds.isdigit() else "wait a while"
