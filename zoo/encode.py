"""``python -m zoo.encode MODEL PICTURES --out FILE.npz``: the codes of pictures, as features."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from zoo import cli


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, encode, write the file."""
    parser = argparse.ArgumentParser(prog="python -m zoo.encode", description="Write the codes of pictures to a file.")
    cli.add_model_and_pictures(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .npz or .safetensors file")
    cli.add_common(parser)
    options = parser.parse_args(arguments)
    cli.import_files(options.imports)
    cli.check_file("--out", options.out, (".npz", ".safetensors"))

    from zoo.loading import load
    from zoo.pictures import open_pictures
    from zoo.system.devices import choose_device
    from zoo.tasks.encoding import encode, write_codes

    model = load(options.model, choose_device(options.device))
    with cli.progress(open_pictures(options.pictures, model)) as pictures:
        found = encode(model, pictures)
    write_codes(found, options.out)
    print(f"{len(found.names):,} codes of {found.codes.shape[1]} dimensions: {options.out}")


if __name__ == "__main__":
    cli.run(main)
