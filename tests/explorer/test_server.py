"""The explorer's server: whom it answers, whom it refuses, what it never reads."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from zoo.errors import ZooError
from zoo.explorer import Session, server
from zoo.explorer.server import Address, application, listen
from zoo.explorer.static_files import static_files

LOCAL = Address("127.0.0.1", 8465)
PAGE_LIMIT = 500_000


class Answered:
    """The answer to one request."""

    def __init__(self, messages: list[Any]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(
    app: ASGIApp,
    path: str = "/",
    method: str = "GET",
    body: bytes | list[bytes] = b"",
    host: str = "127.0.0.1:8465",
    query: str = "",
    **headers: str,
) -> Answered:
    """Send one request to an application, without a socket."""
    fields = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "scheme": "http", "server": ("127.0.0.1", 8465), "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
    }  # fmt: skip
    parts = list(body) if isinstance(body, list) else [body]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return Answered(sent)


def ask(app: ASGIApp, view: str, parameters: Any, **more: Any) -> Answered:
    """Ask a question as the page does."""
    body = parameters if isinstance(parameters, bytes | list) else json.dumps(parameters).encode()
    return request(app, f"/api/{view}", "POST", body, **{"content_type": "application/json", **more})


@pytest.fixture(scope="module")
def session(tiny_run: Callable[[str], Path]) -> Session:
    return Session([str(tiny_run("vae"))])


@pytest.fixture(scope="module")
def app(session: Session) -> ASGIApp:
    return application(session, LOCAL)


def test_the_page_and_its_answers(app: ASGIApp) -> None:
    page = request(app)
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert request(app, "/views/map.js").headers["content-type"].startswith("text/javascript")
    assert ask(app, "about", {}).json["models"] == [{"name": "vae", "unfinished": False}]
    assert ask(app, "map", {"model": "vae", "at": [0, 0]}).json["png"].startswith("data:image/png;base64,")


def test_the_page_names_nothing_outside_and_has_no_script_of_its_own() -> None:
    for path, content in static_files().items():
        text = content.decode()
        outside = set(re.findall(r"https?://[^\s\"'`)]*", text)) - {"http://www.w3.org/2000/svg", "https://", "http://"}
        assert outside == set(), path
        if path.endswith(".html"):
            assert re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL) == [""]
            assert not re.search(r"\s(on\w+|style)=", text)


def test_the_page_weighs_less_than_500_kb() -> None:
    assert sum(map(len, static_files().values())) < PAGE_LIMIT


def test_every_answer_binds_the_browser(app: ASGIApp) -> None:
    for answer in (request(app), request(app, "/nothing"), ask(app, "map", {}), request(app, host="evil.example")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1:8465", "localhost:8465", "LOCALHOST", "[::1]:8465", "localhost:9000"])
def test_the_names_of_this_machine_are_answered(app: ASGIApp, host: str) -> None:
    assert request(app, host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8465", "127.0.0.1.evil.example", "localhost.evil.example", "", "10.0.0.7:8465"],
)
def test_another_name_is_refused_so_that_dns_rebinding_fails(app: ASGIApp, host: str) -> None:
    assert request(app, host=host).status == 403
    assert ask(app, "about", {}, host=host).status == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:9999", "http://127.0.0.1:84650", "http://127.0.0.1"]
)
def test_another_origin_is_refused(app: ASGIApp, origin: str) -> None:
    assert ask(app, "about", {}, origin=origin).status == 403


def test_its_own_origin_is_answered_and_a_page_elsewhere_is_not(app: ASGIApp) -> None:
    assert ask(app, "about", {}, origin="http://127.0.0.1:8465", sec_fetch_site="same-origin").status == 200
    assert ask(app, "about", {}, sec_fetch_site="cross-site").status == 403
    assert ask(app, "about", {}, sec_fetch_site="same-site").status == 403


def test_a_question_that_a_form_of_another_site_could_send_is_refused(app: ASGIApp) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = ask(app, "about", {}, content_type=kind)
        assert (answer.status, "application/json" in answer.json["error"]) == (400, True)
    assert request(app, "/api/about").status in (404, 405)  # GET


def test_a_body_that_is_too_large_is_refused_before_it_is_read(app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_BODY", 2**20)
    declared = ask(app, "about", {}, content_length=str(200 * 2**20))
    assert (declared.status, "larger than 1 MiB" in declared.json["error"]) == (413, True)
    parts = [b" " * 2**19] * 1000
    assert ask(app, "about", parts).status == 413  # declared as nothing
    assert ask(app, "about", {}, content_length="-5").status == 413


@pytest.mark.parametrize("body", [b"[1]", b"null", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_question_is_one_sentence(app: ASGIApp, body: bytes) -> None:
    answer = ask(app, "about", body)
    assert answer.status == 400
    assert "question" in answer.json["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/../session.py", "/views/../../session.py", "/..%2fsession.py", "//etc/passwd", "/static/app.js", "/views/",
        "/\0", "/views/..\\..\\session.py",
    ],
)  # fmt: skip
def test_no_path_reaches_the_disk(app: ASGIApp, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.open", lambda *arguments: pytest.fail("opened"))
    assert request(app, path).status == 404


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "./runs/x", "hf-hub:me/there", "conv_vae_mnist", "\0"])
def test_only_models_that_are_open_can_be_asked_for(app: ASGIApp, name: str) -> None:
    for view in ("map", "sliders", "card", "fits"):
        answer = ask(app, view, {"model": name})
        assert (answer.status, "unknown model" in answer.json["error"]) == (400, True)


def test_an_answer_that_fails_is_one_sentence(app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "about", lambda self: 1 / 0)
    answer = ask(app, "about", {})
    assert answer.status == 500
    assert answer.json == {"error": "the server could not answer (division by zero); its terminal shows more"}


def test_only_this_machine_needs_no_token() -> None:
    assert Address.of("127.0.0.1", 1).token is Address.of("localhost", 1).token is None
    first, second = (Address.of("0.0.0.0", 1) for _ in range(2))
    assert first.token and first.token != second.token and len(first.token) >= 40
    assert first.url.endswith(f"?token={first.token}")
    assert first.token not in repr(first)


def test_the_token_is_asked_for_once_and_kept_in_a_cookie(session: Session) -> None:
    address = Address("0.0.0.0", 8465, "secret")
    app = application(session, address)
    refused = [request(app), request(app, query="token=wrong"), request(app, cookie="zoo_explorer_8465=wrong")]
    refused += [ask(app, "about", {}), request(app, "/app.js")]
    assert {answer.status for answer in refused} == {403}
    assert all(b"secret" not in answer.body for answer in refused)
    entered = request(app, query="token=secret", host="10.0.0.7:8465")
    assert (entered.status, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert ask(app, "about", {}, cookie=cookie.split(";")[0]).status == 200
    assert request(app, query="token=secret", host="evil.example").status == 403


def test_a_port_that_is_taken_and_a_host_that_is_not_here_are_one_sentence() -> None:
    with listen("127.0.0.1", 0) as taken:
        with pytest.raises(server.PortTaken, match="another program listens there"):
            listen("127.0.0.1", taken.getsockname()[1])
    for host in ("192.0.2.1", "no such host", "a" * 300, "\0"):
        with pytest.raises(ZooError, match="--host"):
            listen(host, 0)


def test_it_listens_on_this_machine_only() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert listening.family == socket.AF_INET
        assert listening.getsockname()[0] == "127.0.0.1"


def test_an_answer_does_not_wait_for_an_acknowledgement() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
