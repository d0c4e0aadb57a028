"""``zoo VERB``: finds the verb's module, parses, runs, and turns errors into one message and an exit code.

A verb is a module of this package with two functions: ``add_arguments(parser)``, which imports nothing that takes long
(but for ``push`` and ``pull``, whose options are those of the functions), and ``run(options)``, which returns an exit
code or None for 0.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from zoo._version import __version__
from zoo.cli._output import abandon_stdout, complain, finish, prepare_streams, say, say_lines
from zoo.cli._places import settle
from zoo.errors import ZooError, closest, readable, suggest, writing_output
from zoo.system.allocator import keep_freed_memory
from zoo.system.memory import explaining_memory

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

GROUPS: dict[str, dict[str, str]] = {
    "See it": {
        "demo": "see a first model at once: no training, no download",
        "explore": "move the codes of trained models in the browser, and see the images follow",
    },
    "Train and compare": {
        "train": "train recipes and write their run folders",
        "tune": "search for the settings that are best on validation images",
        "convert": "bring weights that were trained elsewhere into a run folder",
        "finish": "make a run folder of the last checkpoint of an unfinished run",
        "watch": "show the runs in progress, with their curves",
        "compare": "show models side by side in one figure and one table",
        "list": "list the trained entries and their figures",
    },
    "Measure and look": {
        "evaluate": "measure trained models, and check what their cards state",
        "verify": "check where trained models come from, and train them again",
        "figures": "draw figures of a trained model",
        "classifier": "train the classifier in whose features samples are compared",
    },
    "Use a model": {
        "anomaly": "score images by how badly a model explains them",
        "reconstruct": "write what a model makes of images as image files",
        "sample": "write images that a model draws as image files",
        "impute": "fill in missing pixels",
        "encode": "write the codes of images to a file",
        "compress": "compress images to the bytes of their codes",
        "decompress": "decode a file of compressed images",
        "export": "write a model as ONNX or torch.export files",
    },
    "Share": {
        "push": "put a run folder on the Hugging Face Hub",
        "pull": "fetch a model from the Hugging Face Hub",
        "space": "write a folder that runs as a Hugging Face Space",
    },
    "Shell and disk": {
        "cache": "show and delete the images that are kept decoded",
        "completion": "print a script that completes verbs and options in a shell",
    },
}
"""The verbs by group, each with what it does."""

VERBS = {verb: words for verbs in GROUPS.values() for verb, words in verbs.items()}


def main(arguments: Sequence[str] | None = None, prog: str = "zoo") -> NoReturn:
    """Run a command line and exit.

    The code is 0 if all went well, 2 after a message for the user, 130 after Ctrl-C, 141 if the reader of the output
    has gone, 143 after SIGTERM: 128 and the signal's number, as of other commands.
    """
    prepare_streams()
    warnings.showwarning = _show_warning
    # Pillow's about large images, which names no file: those that are too large are skipped and named.
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
    with terminable():
        code = _exit_code(sys.argv[1:] if arguments is None else arguments, prog)
    gc.freeze()  # else Python looks for garbage in all of torch once more before it ends, for a third of a second
    sys.exit(code)


def _exit_code(arguments: Sequence[str], prog: str) -> int | str | None:
    code: int | str | None
    try:
        try:
            code = run(arguments, prog)
        except SystemExit as exit:  # of the parser
            code = exit.code
        finally:
            settle()
        finish()
        return code
    except ZooError as error:
        complain(f"error: {error}")
        return 2
    except KeyboardInterrupt as interrupt:
        complain(str(interrupt) or "interrupted")
        return 130
    except BrokenPipeError:
        abandon_stdout()
        return 141
    except ValueError as error:
        if not _of_matplotlib(error):
            raise
        complain(readable(f"error: matplotlib refuses its settings; look at MPLBACKEND and matplotlibrc ({error})"))
        return 2
    except OSError as error:  # such as a name that is too long
        place = f"{error.filename}: " if error.filename else ""
        complain(f"error: {readable(f'{place}{error.strerror or error}')}")
        return 2


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end what is done in this context as an exception does, so that no temporary file stays; a second one
    ends the process at once, as it ends those that it has forked."""
    own = os.getpid()

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != own:
            signal.raise_signal(number)
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield  # no signal arrives here, or the program around has its own way
        return
    signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _of_matplotlib(error: ValueError) -> bool:
    """Return whether matplotlib could not be imported, which reads the user's settings when it is."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(frame.filename).parts[-2:] == ("matplotlib", "__init__.py") for frame in frames)


def run(arguments: Sequence[str], prog: str = "zoo") -> int:
    """Run a command line in this process and return its exit code.

    Raises:
        ZooError: what was asked for cannot be done; the message is for the user.
        SystemExit: the arguments are wrong, or help was asked for.
    """
    if arguments and arguments[0] == "help":
        arguments = [*arguments[1:2], "--help"]  # zoo help train
    if not arguments or arguments[0] in ("-h", "--help"):
        say_lines(overview())
        return 0
    if arguments[0] in ("-V", "--version"):
        say(f"autoencoder-zoo {__version__}")
        return 0
    verb, *rest = arguments
    if verb.startswith("-"):
        raise ZooError(f"unknown option {verb!r}; write zoo VERB [OPTIONS] (`zoo --help` lists the verbs)")
    if verb not in VERBS:
        raise ZooError(f"unknown verb {verb!r}{suggest(verb, VERBS)} (`zoo --help` says what each does)")
    with explaining_memory():
        module: Any = import_module(f"zoo.cli.{verb}")
        named = "." in prog  # python -m zoo.train: the verb is in it
        options = parser_of(verb, prog if named else f"{prog} {verb}").parse_args(rest)
        if getattr(options, "imports", None):
            from zoo.cli._common import import_files

            import_files(options.imports)
        keep_freed_memory()
        return module.run(options) or 0


def parser_of(verb: str, prog: str) -> argparse.ArgumentParser:
    """Return the parser of a verb's options."""
    words = VERBS[verb]
    parser = VerbParser(prog=prog, description=f"{words[0].upper()}{words[1:]}.")
    module = import_module(f"zoo.cli.{verb}")
    module.add_arguments(parser)
    parser.instead_of = getattr(module, "instead_of", parser.instead_of)
    return parser


class VerbParser(argparse.ArgumentParser):
    """A parser that shows the close match of a mistyped option, and what a verb has instead of it."""

    instead_of: Callable[[str, str], list[str]] = staticmethod(lambda option, value: [])
    """A function of an unknown option and its value that returns what to write instead."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse ``--option=--``, of which Python before 3.13 makes an empty list."""
        for word in args or ():
            if word.startswith("--") and word.endswith("=--"):
                self.error(f"argument {word.removesuffix('=--')}: expected a value, found '--'")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with code 2."""
        if message.startswith("unrecognized arguments: -"):
            option, _, value = message.split()[2].partition("=")
            close = closest(option[:100], self._option_string_actions)
            close += self.instead_of(option, value or (message.split()[3:] or [""])[0])
            message += f"; did you mean {' or '.join(close)}?" if close else ""
        elif message.startswith("unrecognized arguments: ") and any(map(os.path.isfile, message.split()[2:3])):
            message += (
                "; a pattern of files needs quotes, as in './images/*.png', or a shell makes many arguments of it"
            )
        complain(self.format_usage().rstrip("\n"))
        complain(f"{self.prog}: error: {readable(message)}")
        self.exit(2)

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Print the help where the output can be written; argparse would not say so where it cannot."""
        with writing_output():
            (file or sys.stdout).write(self.format_help())


def overview() -> str:
    """Write what ``zoo --help`` shows: the verbs in groups, one line each."""
    width = max(map(len, VERBS)) + 2
    groups = [
        "\n".join([f"{title}:", *(f"  {verb:<{width}}{words}" for verb, words in verbs.items())])
        for title, verbs in GROUPS.items()
    ]
    start = "usage: zoo VERB [OPTIONS]\n\nA model zoo of autoencoders: train, load, measure and use them."
    return "\n\n".join([start, *groups, "`zoo VERB --help` shows a verb's options, `zoo --version` the version."])


def _show_warning(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
    complain("\n".join(map(readable, f"warning: {message}".split("\n"))))
