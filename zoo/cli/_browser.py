"""The explorer's server and a browser that shows it, which ``explore`` and ``demo`` share."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec

from zoo.cli._common import check_range
from zoo.cli._output import finish, say
from zoo.errors import ZooError

USUAL_PORT = 8465
"""The port that is tried first where none is asked for, so that links to a state of the page stay right."""

PACKAGES = ("starlette", "uvicorn")
"""The packages of the extra."""


def add_port(parser: argparse.ArgumentParser) -> None:
    """Declare the port to listen at."""
    parser.add_argument(
        "--port", type=int, metavar="N", help=f"the port to listen at; 0: any (default: {USUAL_PORT}, or any free one)"
    )


def is_installed() -> bool:
    """Return whether the packages of the extra are there."""
    return all(find_spec(name) for name in PACKAGES)


def show(
    models: Sequence[str], options: argparse.Namespace, *, host: str = "127.0.0.1", data: str | None = None,
    public: bool = False, browser: bool = True, fragment: str = "",
) -> None:  # fmt: skip
    """Serve the explorer until Ctrl-C, with a browser that shows it.

    Args:
        models: the models to open; none: all that are shipped.
        options: the options, with ``device`` and ``port``.
        host: the address to listen at.
        data: the dataset or the folder of images to use; None: what each model was trained on.
        public: serve whoever reaches the address, without a token.
        browser: open a browser.
        fragment: the state of the page to open, as its links have it after ``#``.

    Raises:
        ZooError: there is no such model, the port is taken, or the extra is not installed.
    """
    if options.port is not None:
        check_range("--port", options.port, 0, 65_535)
    if not is_installed():
        raise ZooError("the explorer needs packages that are not installed: pip install 'autoencoder-zoo[explore]'")

    from zoo.explorer import server
    from zoo.explorer.session import Session
    from zoo.system.devices import choose_device

    session = Session(models, str(choose_device(options.device)), data)
    try:
        listening = server.listen(host, USUAL_PORT if options.port is None else options.port)
    except server.PortTaken:
        if options.port is not None:
            raise
        listening = server.listen(host, 0)
    with listening:
        address = server.Address.of(host, listening.getsockname()[1], public=public)
        say(address.url)
        say("Ctrl-C stops it.")
        finish()  # whoever reads this through a pipe gets it now
        if browser and has_browser():
            open_browser(address.url + (f"#{fragment}" if fragment else ""))
        server.serve(session, listening, address)


def has_browser() -> bool:
    """Return whether there is a screen to open a browser on; one in the terminal would hide what is printed."""
    if sys.platform.startswith("linux"):
        return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return True


def open_browser(url: str) -> None:
    """Open a browser in a thread of its own, since some return only when they are closed."""
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
