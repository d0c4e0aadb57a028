"""``zoo completion SHELL``: a script that completes verbs and options in a shell."""

from __future__ import annotations

import argparse

import shtab

from zoo.cli._output import write

SHELLS = ("bash", "zsh", "fish", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=SHELLS, help="the shell; source what is printed from its start-up file")


def run(options: argparse.Namespace) -> None:
    """Print the script."""
    from zoo.cli.app import VERBS, parser_of

    whole = argparse.ArgumentParser(prog="zoo")
    verbs = whole.add_subparsers()
    for verb, words in VERBS.items():
        verbs.add_parser(verb, help=words, parents=[parser_of(verb, verb)], conflict_handler="resolve")
    write(f"{shtab.complete(whole, options.shell)}\n")
