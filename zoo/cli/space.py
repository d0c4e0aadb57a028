"""``zoo space MODEL --out FOLDER``: a folder that runs as a Hugging Face Space."""

from __future__ import annotations

import argparse
import sys

from zoo.cli._common import add_imports, add_model
from zoo.cli._output import say
from zoo.cli._places import prepare
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model(parser)
    parser.add_argument(
        "--out", type=user_path, required=True, metavar="FOLDER",
        help="write the Space there; an earlier one is replaced, unless it was changed by hand",
    )  # fmt: skip
    parser.add_argument(
        "--without-test-images", action="store_true", help="leave out the files that show images of the test split"
    )
    add_imports(parser)


def run(options: argparse.Namespace) -> None:
    """Write the folder, and say how it goes to the Hub."""
    prepare("--out", options.out.parent, files=False)

    from zoo.entries.loading import find
    from zoo.hub.space import write_space

    location = find(options.model)
    space = write_space(
        location.folder,
        options.out,
        address=location.address,
        test_images=not options.without_test_images,
        imports=options.imports,
    )
    for note in space.notes:
        say(f"note: {note}", sys.stderr)
    say(f"a Space of {space.model}: {space.folder} ({space.files:,} files, {space.bytes:,} bytes)")
    name = space.model.replace("_", "-")
    say(f"put it on the Hub: hf upload OWNER/{name} {space.folder} --repo-type space")
