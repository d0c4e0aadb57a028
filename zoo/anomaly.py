"""``python -m zoo.anomaly MODEL PICTURES``: how strange each picture is to a model."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import cli
from zoo.errors import ZooError, readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.autoencoder import Autoencoder
    from zoo.tasks.anomaly import Scored, Strangest

LABEL = 20
"""Characters of a name that a title has room for; of a longer one the end tells more."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, score, write the scores and the sheet, print what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo.anomaly", description="Score pictures by how badly a model explains them."
    )
    cli.add_model_and_pictures(parser)
    parser.add_argument("--samples", type=int, default=0, metavar="K", help="also the NLL with K samples of z")
    parser.add_argument("--by", default="mse", help="mse (default), negative_elbo or nll_K: what the sheet shows")
    parser.add_argument("--count", type=int, default=24, help="pictures on the sheet (default: 24)")
    parser.add_argument("--out", type=Path, help="the scores, .csv or .json (default: anomaly.csv)")
    parser.add_argument("--sheet", type=Path, help="the strangest above their reconstructions (default: anomaly.png)")
    parser.add_argument("--against", metavar="PICTURES", help="anomalous ones: how well are they told from those?")
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    cli.add_common(parser)
    options = parser.parse_args(arguments)
    cli.import_files(options.imports)
    out, sheet = options.out or Path("anomaly.csv"), options.sheet or Path("anomaly.png")
    cli.check_file("--out", out, (".csv", ".json"))
    cli.check_file("--sheet", sheet, (".png",))
    cli.check_apart("--sheet", sheet, options.pictures)
    cli.check_range("--count", options.count, 1, 200)
    cli.check_range("--samples", options.samples, 0, 1_000_000)
    wanted = re.fullmatch(r"nll_(\d+)", options.by)
    if wanted and int(wanted[1]) != options.samples:
        raise ZooError(f"--by {options.by}: it takes --samples {wanted[1]} as well")

    from zoo.loading import load
    from zoo.pictures import open_pictures
    from zoo.plotting import to_png
    from zoo.system.devices import choose_device
    from zoo.system.files import write_atomically
    from zoo.system.tables import rows_to
    from zoo.tasks.anomaly import Strangest, detection, score

    model = load(options.model, choose_device(options.device))
    pictures = open_pictures(options.pictures, model)
    against = open_pictures(options.against, model) if options.against else None
    if against:
        detection([0.0], [1.0])  # what it needs is looked for before the work is done
    strangest = Strangest(options.by, options.count)
    values, others = Values(), Values()
    with rows_to(out) as write:
        with cli.progress(pictures) as shown:
            for scored in score(model, shown, options.samples):
                strangest.add(scored)
                values.add(scored)
                write({"path": scored.batch.names, **{name: found.tolist() for name, found in scored.scores.items()}})
        if against:
            with cli.progress(against) as shown:
                for scored in score(model, shown, options.samples):
                    others.add(scored)
        write_atomically(sheet, to_png(draw(model, strangest)))
    told = {name: detection(values[name], found) for name, found in others.items()}
    count = len(values["mse"])
    if options.json:
        summary = {"pictures": count, "out": str(out), "sheet": str(sheet), "detection": told}
        print(json.dumps(summary, indent=2))
        return
    if told:
        share = len(others["mse"]) / (count + len(others["mse"]))
        print(f"{options.against} as the anomalous ones, {options.pictures} as the normal ones:")
        for name, figures in told.items():
            precision = f"average precision {figures['average_precision']:.4f} (chance: {share:.4f})"
            print(f"  {name}: AUROC {figures['auroc']:.4f} (chance: 0.5), {precision}")
    print(f"{count:,} pictures scored: {out}; the strangest by {options.by}: {sheet}")


class Values(dict[str, list[float]]):
    """Score → its value for every picture."""

    def add(self, scored: Scored) -> None:
        """Take in a batch."""
        for name, found in scored.scores.items():
            self.setdefault(name, []).extend(found.tolist())


def draw(model: Autoencoder, strangest: Strangest) -> Figure:
    """The strangest pictures, each above its reconstruction."""
    from zoo import plotting

    found = strangest.found()
    names = [readable(name) for name in found.names]
    names = [name if len(name) <= LABEL else f"\N{HORIZONTAL ELLIPSIS}{name[1 - LABEL :]}" for name in names]
    titles = [f"{name}\n{strangest.by} {value:.4g}" for name, value in zip(names, found.values, strict=True)]
    return plotting.pairs(found.x, model.given(found.labels).reconstruct(found.x).cpu(), titles)


if __name__ == "__main__":
    cli.run(main)
