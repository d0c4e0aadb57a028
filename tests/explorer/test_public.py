"""A public explorer: whoever reaches it is served, and the Hub may show it within a frame."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra: explore")
testclient = pytest.importorskip("starlette.testclient", reason="needs httpx")

from zoo.explorer.server import Address, application  # noqa: E402


class Echo:
    """A session that answers with what it was asked."""

    def ask(self, view: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"view": view, **parameters}


def client(*, public: bool) -> Any:
    session: Any = Echo()
    return testclient.TestClient(
        application(session, Address.of("0.0.0.0", 7860, public=public)), base_url="http://me-tiny.hf.space"
    )


def test_a_public_explorer_answers_under_the_names_that_a_proxy_gives_it() -> None:
    answer = client(public=True).post("/api/map", json={"at": 1}, headers={"Origin": "https://huggingface.co"})
    assert (answer.status_code, answer.json()) == (200, {"view": "map", "at": 1})
    page = client(public=True).get("/")
    assert page.status_code == 200
    assert page.headers["content-security-policy"].endswith("; frame-ancestors 'self' https://huggingface.co")
    assert "script-src 'self';" in page.headers["content-security-policy"]


def test_any_other_explorer_does_not() -> None:
    assert client(public=False).post("/api/map", json={}).status_code == 403
    page = client(public=False).get("/")
    assert page.status_code == 403
    assert page.headers["content-security-policy"].endswith("; frame-ancestors 'none'")
