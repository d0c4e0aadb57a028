"""The explorer over HTTP: a page from files that were read at the start, and the answers of a session.

Whoever can reach the server could ask it anything, so it is careful about who that is. It listens on this machine only,
unless it is told otherwise, and then asks for a token. A page from elsewhere in the same browser does not reach it
either: the Host header has to be a name of this machine (DNS rebinding), and the Origin header the server's own.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import logging
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from zoo.errors import ZooError, first_line
from zoo.explorer.session import Session
from zoo.explorer.static_files import static_files

MAX_BODY = 2**25
"""The most bytes of a question: 32 MiB, an image file of 24 MB and more as text."""

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors "
)
"""The Content-Security-Policy, but for the pages that may show this one within a frame."""

HUB = "https://huggingface.co"
"""The only page that may show a public explorer within a frame: the Hub shows Spaces so."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}

logger = logging.getLogger("zoo")


@dataclass(frozen=True)
class Address:
    """The place that a server listens at, and the token that it asks for.

    Args:
        host: a name or an address of this machine.
        port: the port.
        token: what a browser has to know; None: nothing.
        public: whoever reaches it is served, under whatever name and through whatever proxy.
    """

    host: str
    port: int
    token: str | None = field(default=None, repr=False)
    public: bool = False

    @classmethod
    def of(cls, host: str, port: int, *, public: bool = False) -> Address:
        """Return an address with a new token, unless it is public or only this machine can reach it."""
        return cls(host, port, None if public or host in LOCAL_NAMES else secrets.token_urlsafe(32), public)

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        everywhere = self.host in ("0.0.0.0", "::")  # nosec B104: compared with, not bound to
        host = socket.gethostname() if everywhere else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    def answers_to(self, name: str) -> bool:
        """Return whether a name in a Host header is this server's, and not one that somebody else's DNS points here."""
        if name in LOCAL_NAMES:
            return True
        if self.host in LOCAL_NAMES:
            return False
        return name in (self.host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()) or _is_ip(name)


class Guard:
    """A wrapper of an application that refuses whom it does not serve, and adds the headers that bind a browser.

    Args:
        app: the application.
        address: the place that it listens at.
    """

    def __init__(self, app: ASGIApp, address: Address) -> None:
        self.app, self.address = app, address
        policy = POLICY + (f"'self' {HUB}" if address.public else "'none'")
        headers = {**HEADERS, "Content-Security-Policy": policy}
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it with one sentence."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.headers]
            await send(message)

        request = Request(scope)
        refusal = self.refusal(request)
        if refusal:
            await PlainTextResponse(refusal + "\n", 403)(scope, receive, sending)
        elif self.address.token and "token" in request.query_params:
            response = RedirectResponse("/", 303)
            response.set_cookie(self.cookie, self.address.token, httponly=True, samesite="strict")
            await response(scope, receive, sending)
        else:
            await self.app(scope, receive, sending)

    @property
    def cookie(self) -> str:
        """The name of the cookie that keeps the token: each port has its own, since cookies know no ports."""
        return f"zoo_explorer_{self.address.port}"

    def refusal(self, request: Request) -> str | None:
        """Say why a request is refused, or return None."""
        if self.address.public:  # a proxy gives it other names, and there is nothing to keep from anybody
            return None
        host = request.headers.get("host", "")
        if not self.address.answers_to(_name_in(host)):
            return "This server answers to the names of its own machine only: open the address that it printed."
        origin = request.headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return "This server answers to its own page only, and to no other site's."
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and request.method != "GET":
            return "This server answers to its own page only, and to no other site's."
        if self.address.token:
            given = request.query_params.get("token") or request.cookies.get(self.cookie, "")
            if not secrets.compare_digest(given.encode(), self.address.token.encode()):
                return "This address needs its token: open the one that `zoo explore` printed."
        return None


def application(session: Session, address: Address) -> ASGIApp:
    """Return the application that serves the page and answers its questions."""
    static = {
        path: (content, TYPES[kind]) for path, content in static_files().items() if (kind := Path(path).suffix) in TYPES
    }

    async def page(request: Request) -> Response:
        path = request.path_params.get("path") or "index.html"
        if path not in static:
            return PlainTextResponse("There is no such page.\n", 404)
        content, kind = static[path]
        return Response(content, media_type=kind, headers={"Content-Type": kind})

    async def answer(request: Request) -> Response:
        try:
            parameters = await question(request)
            return JSONResponse(await run_in_threadpool(session.ask, request.path_params["view"], parameters))
        except TooLarge as error:
            return JSONResponse({"error": str(error)}, 413)
        except ZooError as error:
            return JSONResponse({"error": str(error)}, 400)
        except Exception as error:
            logger.exception("a question of the explorer's page could not be answered")
            words = f"the server could not answer ({first_line(error)}); its terminal shows more"
            return JSONResponse({"error": words}, 500)

    routes = [
        Route("/api/{view}", answer, methods=["POST"]),
        Route("/", page),
        Route("/{path:path}", page),
    ]
    return Guard(Starlette(routes=routes), address)


class TooLarge(ZooError):
    """A question has more bytes than are read."""


async def question(request: Request) -> dict[str, Any]:
    """Return the parameters in the body of a request.

    Raises:
        TooLarge: the body has more than :data:`MAX_BODY` bytes, of which no more are read.
        ZooError: it is no JSON object, or is not declared as JSON, which another site's form could not do.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ZooError("a question has to be JSON, with the Content-Type application/json")
    too_large = f"this is larger than {MAX_BODY // 2**20} MiB; choose a smaller image"
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY:
        raise TooLarge(too_large)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise TooLarge(too_large)
    try:
        parameters = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ZooError(f"the question is no JSON ({first_line(error)})") from error
    if not isinstance(parameters, dict):
        raise ZooError("the question has to be a JSON object")
    return parameters


class PortTaken(ZooError):
    """Another program listens at a port."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a host and port, or at any free one for port 0.

    Raises:
        PortTaken: another program listens there.
        ZooError: the host is no address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except (OSError, ValueError) as error:  # ValueError: it is nothing that a machine could be called
        raise ZooError(f"--host {host}: there is no machine of this name ({first_line(error)})") from error
    try:
        listening = socket.create_server((host, port), family=family, backlog=128)
    except PermissionError as error:
        raise ZooError(f"--port {port}: this port is for the system's administrator; choose one above 1023") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"--port {port}: another program listens there; choose another, or --port 0") from error
        raise ZooError(f"--host {host}: this machine cannot listen there ({error.strerror or error})") from error
    # asyncio sets this for sockets that it has made itself only; without it, an answer's body waits 40 ms for the
    # acknowledgement of its head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def serve(session: Session, listening: socket.socket, address: Address) -> None:
    """Serve until Ctrl-C.

    Args:
        session: the open models.
        listening: the socket, from :func:`listen`.
        address: the place that it listens at.
    """
    config = uvicorn.Config(
        application(session, address),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        ws="none",
        lifespan="off",
    )
    with suppress(KeyboardInterrupt):  # uvicorn has closed everything by then, and passes the signal on
        uvicorn.Server(config).run(sockets=[listening])


def _name_in(host: str) -> str:
    """Return the name in a Host header, without its port: ``localhost`` of ``localhost:8000``."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
