"""``zoo anomaly MODEL IMAGES``: how strange each image is to a model."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from zoo.cli._common import (
    add_common,
    add_json,
    add_model_and_images,
    check_range,
    progress,
)
from zoo.cli._output import say, say_json
from zoo.cli._places import check_apart, output_file
from zoo.errors import ZooError, shortened
from zoo.system.files import user_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.inference.image_batches import ImageStream
    from zoo.models import Autoencoder
    from zoo.tasks import HighestScores

LABEL_LENGTH = 20
"""The characters of a name that a title has room for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model_and_images(parser)
    parser.add_argument("--samples", type=int, default=0, metavar="K", help="also score by the NLL with K samples of z")
    parser.add_argument("--by", default="mse", help="what the sheet shows: mse (default), negative_elbo or nll_K")
    parser.add_argument("--count", type=int, default=24, help="images on the sheet (default: 24)")
    parser.add_argument("--out", type=user_path, help="the scores, .csv or .json (default: anomaly.csv)")
    parser.add_argument(
        "--sheet", type=user_path, help="the strangest above their reconstructions (default: anomaly.png)"
    )
    parser.add_argument("--against", metavar="IMAGES", help="anomalous images: measure how well scores separate them")
    add_json(parser)
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Score, write the scores and the sheet, print how well they separate anomalous images from normal ones."""
    check_range("--count", options.count, 1, 200)
    check_range("--samples", options.samples, 0, 1_000_000)
    wanted = re.fullmatch(r"nll_(\d+)", options.by)
    if wanted and int(wanted[1]) != options.samples:
        raise ZooError(f"--by {options.by}: it takes --samples {wanted[1]} as well")
    out = output_file("--out", options.out, (".csv", ".json"), default="anomaly.csv")
    sheet = output_file("--sheet", options.sheet, (".png",), default="anomaly.png")
    check_apart("--sheet", sheet, options.images)

    from zoo.entries.loading import load
    from zoo.inference.image_stream import open_images
    from zoo.plotting import to_png
    from zoo.system.devices import choose_device
    from zoo.system.files import write_atomically
    from zoo.system.image_sources import names_images
    from zoo.system.tables import table_writer
    from zoo.tasks import HighestScores, detection

    model = load(options.model, choose_device(options.device))
    files = [source for source in (options.images, options.against) if source and names_images(source)]
    ranges = {source: options.range for source in files or [options.images]}
    images = open_images(options.images, model, ranges.get(options.images))
    against = open_images(options.against, model, ranges.get(options.against)) if options.against else None
    if against:
        detection([0.0], [1.0])  # what it needs is looked for before the work is done
    highest = HighestScores(options.by, options.count)
    with table_writer(out) as write:

        def keep(names: list[str], scores: dict[str, list[float]]) -> None:
            write({"path": names, **scores})

        normal = scores_of(model, images, options.samples, keep, highest)
        anomalous = scores_of(model, against, options.samples) if against else {}
        write_atomically(sheet, to_png(draw(model, highest)))
    figures = {name: detection(normal[name], values) for name, values in anomalous.items()}
    count = len(normal["mse"])
    if options.json:
        say_json({"images": count, "out": str(out), "sheet": str(sheet), "detection": figures})
        return
    if figures:
        share = len(anomalous["mse"]) / (count + len(anomalous["mse"]))
        say(f"{options.against} as the anomalous ones, {options.images} as the normal ones:")
        for name, values in figures.items():
            precision = f"average precision {values['average_precision']:.4f} (chance: {share:.4f})"
            say(f"  {name}: AUROC {values['auroc']:.4f} (chance: 0.5), {precision}")
    say(f"{count:,} images scored: {out}; the strangest by {options.by}: {sheet}")


def scores_of(
    model: Autoencoder,
    images: ImageStream,
    samples: int,
    keep: Callable[[list[str], dict[str, list[float]]], None] | None = None,
    highest: HighestScores | None = None,
) -> dict[str, list[float]]:
    """Return every score of every image, by the name of the score.

    Args:
        model: the model.
        images: the images.
        samples: K of ``nll_K``.
        keep: called with the names and scores of each batch.
        highest: takes in each batch.
    """
    from zoo.tasks import score

    every: dict[str, list[float]] = {}
    with progress(images) as shown:
        for scored in score(model, shown, samples):
            values = {name: tensor.tolist() for name, tensor in scored.scores.items()}
            for name, more in values.items():
                every.setdefault(name, []).extend(more)
            if highest is not None:
                highest.add(scored)
            if keep is not None:
                keep(scored.batch.names, values)
    return every


def draw(model: Autoencoder, highest: HighestScores) -> Figure:
    """Draw the images with the highest score, each above its reconstruction."""
    from zoo import plotting

    ranked = highest.ranked()
    names = [shortened(name, LABEL_LENGTH) for name in ranked.names]
    titles = [f"{name}\n{highest.by} {value:.4g}" for name, value in zip(names, ranked.values, strict=True)]
    return plotting.pairs(ranked.x, model.given(ranked.labels).reconstruct(ranked.x).cpu(), titles)
