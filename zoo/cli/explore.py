"""``zoo explore [MODEL ...]``: trained models in the browser, where a code is moved and the image follows."""

from __future__ import annotations

import argparse

from zoo.cli._browser import add_port, show
from zoo.cli._common import MODELS_HELP, add_common, add_data, expand_models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{MODELS_HELP} (default: all that are shipped)")
    add_port(parser)
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
    models = expand_models(options.models)
    browser = not options.no_browser
    show(models, options, host=options.host, data=options.data, public=options.public, browser=browser)
