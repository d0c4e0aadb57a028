"""Proxies, certificates and endpoints that do not work, or that give the token away."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

import pytest
from huggingface_hub.utils import close_session  # type: ignore[attr-defined]

import zoo
from zoo.errors import ZooError
from zoo.hub.client import CLIENT_VARIABLES, Hub


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A client that has not been made yet, in an environment that says nothing."""
    for name in CLIENT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    close_session()
    yield
    close_session()


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "ALL_PROXY=socks5://127.0.0.1:9"),
        ("HTTP_PROXY", "nonsense://x:y", "HTTP_PROXY=nonsense://x:y"),
        ("https_proxy", "nonsense://me:secret@x:1", "https_proxy=nonsense://...@x:1"),
        ("SSL_CERT_FILE", "/nope", "SSL_CERT_FILE=/nope"),
        ("SSL_CERT_FILE", "/", "SSL_CERT_FILE=/"),
    ],
)
def test_what_the_environment_says_wrongly_is_named_in_one_line(
    name: str, value: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ZooError, match=rf"^no connection can be set up [^\n]*{re.escape(shown)}[^\n]*$") as error:
        zoo.load("hf-hub:me/short@" + "0" * 40)
    assert "secret" not in str(error.value)
    assert ("httpx[socks]" in str(error.value)) == value.startswith("socks")


@pytest.mark.parametrize("endpoint", ["http://hub.example.org", "http://10.0.0.7:8080"])
def test_a_token_in_clear_is_warned_of(endpoint: str) -> None:
    with pytest.warns(UserWarning, match=f"your token goes to {endpoint} unencrypted"):
        Hub(endpoint, "hf_token")


@pytest.mark.parametrize(
    "endpoint", ["https://hub.example.org", "http://localhost:80", "http://127.0.0.1:8", "http://[::1]"]
)
def test_other_tokens_are_safe(endpoint: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Hub(endpoint, "hf_token")
