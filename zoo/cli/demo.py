"""``zoo demo``: a first model at once, in the browser or as a figure, without a training or a download."""

from __future__ import annotations

import argparse

from zoo.cli._browser import add_port, has_browser, is_installed, show
from zoo.cli._common import add_common
from zoo.cli._output import say
from zoo.cli._places import output_file
from zoo.system.files import user_path

MODEL = "conv_vae_2d_mnist"
"""The model that is shown: its code has two dimensions, so that all of it is one map."""

FIGURE = "zoo_demo.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--out",
        type=user_path,
        metavar="FILE.png",
        help=f"write a figure of the map, and open no browser (default without a browser: {FIGURE})",
    )
    add_port(parser)
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Open the explorer, or write a figure where there is no browser.

    Raises:
        ZooError: the port is taken, or the figure cannot be written.
    """
    if options.out is None and is_installed() and has_browser():
        say(f"{MODEL}, a VAE whose code is two numbers: drag over the map, and see what each point decodes to")
        show([MODEL], options, fragment=f"view=map&model={MODEL}&grid=1")
        return
    out = output_file("--out", options.out, (".png",), FIGURE)

    from zoo.entries.trained_model import TrainedModel
    from zoo.figures import FigureContext, FigureOptions, draw
    from zoo.plotting import to_png
    from zoo.system.devices import choose_device
    from zoo.system.files import write_atomically

    trained = TrainedModel(MODEL, str(choose_device(options.device)))
    write_atomically(out, to_png(draw("manifold", FigureContext(trained, FigureOptions()))))
    say(out)
    say(f"{MODEL}, a VAE whose code is two numbers: every image is decoded from the two at its place.")
    if not is_installed():
        say("Move through it in the browser: pip install 'autoencoder-zoo[explore]', then zoo explore")
    elif options.out is None:
        say("There is no screen here to open a browser on; `zoo explore` prints an address for one elsewhere.")
