"""``zoo explore [MODEL ...]``: trained models in the browser, where a code is moved and the image follows."""

from __future__ import annotations

import argparse
import os
import sys
import threading

from zoo.cli._common import MODELS_HELP, add_common, add_data, check_range, expand_models
from zoo.cli._output import say
from zoo.errors import ZooError

USUAL_PORT = 8465
"""The port that is tried first where none is asked for, so that links to a state of the page stay right."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{MODELS_HELP} (default: all that are shipped)")
    parser.add_argument(
        "--port", type=int, metavar="N", help=f"the port to listen at; 0: any (default: {USUAL_PORT}, or any free one)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen at; others need the token in the printed link (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--public",
        action="store_true",
        help="serve whoever reaches the address, without a token; meant for a container, as `zoo space` writes one",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    add_data(parser)
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Serve until Ctrl-C.

    Raises:
        ZooError: there is no such model, the port is taken, or the extra is not installed.
    """
    if options.port is not None:
        check_range("--port", options.port, 0, 65_535)
    check_installed()

    from zoo.explorer.server import Address, listen, serve
    from zoo.explorer.session import Session
    from zoo.system.devices import choose_device

    session = Session(expand_models(options.models), str(choose_device(options.device)), options.data)
    try:
        listening = listen(options.host, USUAL_PORT if options.port is None else options.port)
    except ZooError:
        if options.port is not None:
            raise
        listening = listen(options.host, 0)
    address = Address.of(options.host, listening.getsockname()[1], public=options.public)

    def ready() -> None:
        say(address.url)
        say("Ctrl-C stops it.")
        if not options.no_browser:
            open_browser(address.url)

    serve(session, listening, address, ready)


def check_installed() -> None:
    """Refuse to go on without the extra.

    Raises:
        ZooError: says what to install.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ZooError("the explorer needs two packages more: pip install 'autoencoder-zoo[explore]'") from error


def has_browser() -> bool:
    """Return whether there is a screen to open a browser on; one in the terminal would hide what is printed."""
    if sys.platform.startswith("linux"):
        return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return True


def open_browser(url: str) -> None:
    """Open a browser in a thread of its own, since some return only when they are closed."""
    import webbrowser

    if has_browser():
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
