"""``python -m zoo.compress MODEL PICTURES --out FILE.aez``: pictures to the bytes of their codes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from zoo import cli


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, compress, write the file, print what it costs."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo.compress", description="Compress pictures to codes; zoo.decompress makes pictures of them."
    )
    cli.add_model_and_pictures(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.aez", help="the file to write")
    parser.add_argument("--step", type=float, default=0.5, help="of the rounding (default: 0.5); unused in a VQ-VAE")
    parser.add_argument("--names", type=Path, help="also write which number was which picture, .csv or .json")
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    cli.add_common(parser)
    options = parser.parse_args(arguments)
    cli.import_files(options.imports)
    cli.check_file("--out", options.out, (".aez",))
    cli.check_range("--step", options.step, 1e-6, 10**6)
    if options.names:
        cli.check_file("--names", options.names, (".csv", ".json"))

    from zoo.loading import load
    from zoo.pictures import open_pictures
    from zoo.system.devices import choose_device
    from zoo.system.files import write_atomically
    from zoo.system.tables import rows_to
    from zoo.tasks.compression import compress

    model = load(options.model, choose_device(options.device))
    with cli.progress(open_pictures(options.pictures, model)) as pictures:
        found = compress(model, pictures, options.step)
    write_atomically(options.out, found.content)
    if options.names:
        with rows_to(options.names) as write:
            write({"number": range(found.images), "path": found.names})
    if options.json:
        figures = {"images": found.images, "bytes": len(found.content)}
        print(json.dumps({**figures, "bits_per_image": found.bits_per_image, "mse": found.mse}, indent=2))
        return
    print(
        f"{found.images:,} pictures in {len(found.content):,} bytes, {found.bits_per_image:.1f} bits per picture, "
        f"MSE {found.mse:.5f} per pixel: {options.out}"
    )


if __name__ == "__main__":
    cli.run(main)
